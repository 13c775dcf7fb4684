#include <algorithm>
#include <utility>

#include "engine/engine.h"
#include "engine/reservation_counters.h"

namespace weir {

Reservation::Reservation(Reservation&& other) noexcept
    : counters_(std::move(other.counters_)),
      flow_(std::exchange(other.flow_, nullptr)),
      num_sequences_(std::exchange(other.num_sequences_, 0)),
      tokens_(std::exchange(other.tokens_, 0)) {}

Reservation& Reservation::operator=(Reservation&& other) noexcept {
  if (this == &other) return *this;
  Release();
  counters_ = std::move(other.counters_);
  flow_ = std::exchange(other.flow_, nullptr);
  num_sequences_ = std::exchange(other.num_sequences_, 0);
  tokens_ = std::exchange(other.tokens_, 0);
  return *this;
}

Reservation::~Reservation() { Release(); }

Reservation Reservation::Split() {
  Reservation part;
  if (num_sequences_ <= 1) {
    part = std::move(*this);
    return part;
  }
  part.counters_ = counters_;
  part.flow_ = flow_;
  part.num_sequences_ = 1;
  part.tokens_ = tokens_ / num_sequences_;
  {
    MutexLock lock(counters_->mutex);
    ++flow_->num_reservations;
  }
  num_sequences_ -= 1;
  tokens_ -= part.tokens_;
  return part;
}

void Reservation::Shrink(int num_sequences, int64_t tokens) {
  if (counters_ == nullptr) return;
  num_sequences = std::min(num_sequences, num_sequences_);
  tokens = std::min(tokens, tokens_);
  MutexLock lock(counters_->mutex);
  counters_->num_sequences -= num_sequences;
  counters_->tokens -= tokens;
  flow_->queued.num_sequences -= num_sequences;
  flow_->queued.tokens -= tokens;
  num_sequences_ -= num_sequences;
  tokens_ -= tokens;
}

void Reservation::Resize(int64_t tokens) {
  MutexLock lock(counters_->mutex);
  counters_->tokens += tokens - tokens_;
  flow_->queued.tokens += tokens - tokens_;
  tokens_ = tokens;
}

void Reservation::Move(const Applicant& applicant) {
  MutexLock lock(counters_->mutex);
  if (flow_->owner == applicant.owner.name && flow_->queued.service_class == applicant.service_class) return;
  Flow* const from = flow_;
  flow_ = counters_->Join(applicant, num_sequences_, tokens_);
  counters_->Leave(from, num_sequences_, tokens_);
}

void Reservation::Release() {
  if (counters_ == nullptr) return;
  {
    MutexLock lock(counters_->mutex);
    counters_->Leave(flow_, num_sequences_, tokens_);
  }
  flow_ = nullptr;
  num_sequences_ = 0;
  tokens_ = 0;
  counters_.reset();
}

}  // namespace weir
