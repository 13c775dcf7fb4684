#include "engine/tokenizer/merge_table.h"

#include <algorithm>
#include <array>
#include <deque>
#include <functional>
#include <limits>
#include <queue>

namespace weir {
namespace {

// Up to here, looking at every pair after every merge beats keeping order.
constexpr size_t kShortPiece = 48;

// Places where one rank can be applied, taken leftmost first. They nearly always arrive in order, or in two or three orders
// that alternate, so these are queues, and a heap only for what fits into none.
class RankBucket {
 public:
  bool empty() const { return num_places_ == 0; }

  void Put(int32_t place) {
    ++num_places_;
    for (Queue& queue : queues_) {
      if (!queue.empty() && place < queue.places.back()) continue;
      if (queue.empty()) {
        queue.places.clear();
        queue.next = 0;
      }
      queue.places.push_back(place);
      return;
    }
    heap_.push_back(place);
    std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
  }

  int32_t Take() {
    --num_places_;
    Queue* first = nullptr;
    for (Queue& queue : queues_)
      if (!queue.empty() && (first == nullptr || queue.front() < first->front())) first = &queue;
    if (first != nullptr && (heap_.empty() || first->front() < heap_.front()))
      return first->places[first->next++];
    std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
    const int32_t place = heap_.back();
    heap_.pop_back();
    return place;
  }

 private:
  struct Queue {
    std::vector<int32_t> places;  // in order
    size_t next = 0;
    bool empty() const { return next == places.size(); }
    int32_t front() const { return places[next]; }
  };

  std::array<Queue, 3> queues_;
  std::vector<int32_t> heap_;
  size_t num_places_ = 0;
};

// Tokens as a linked list over their first places, and the open merges ordered by rank.
class LongMerge {
 public:
  LongMerge(const MergeTable& table, std::vector<int32_t>* tokens)
      : table_(table), tokens_(*tokens), previous_(tokens->size()), next_(tokens->size()) {
    const auto size = static_cast<int32_t>(tokens_.size());
    for (int32_t i = 0; i < size; ++i) {
      previous_[i] = i - 1;
      next_[i] = i + 1 < size ? i + 1 : -1;
    }
    for (int32_t i = 0; i + 1 < size; ++i) Offer(i);
  }

  void Run() {
    while (!ranks_.empty()) {
      const int32_t rank = ranks_.top();
      ranks_.pop();
      RankBucket& bucket = BucketOf(rank);
      while (!bucket.empty()) {
        Apply(bucket.Take(), rank);
        // A merge may open an earlier one, which then goes first.
        if (!ranks_.empty() && ranks_.top() < rank) {
          if (!bucket.empty()) ranks_.push(rank);
          break;
        }
      }
    }
    size_t kept = 0;
    for (int32_t i = 0; i != -1; i = next_[i]) tokens_[kept++] = tokens_[i];
    tokens_.resize(kept);
  }

 private:
  static constexpr int32_t kGone = -1;

  void Offer(int32_t place) {
    if (place == -1 || next_[place] == -1) return;
    const MergeTable::Merge* merge = table_.Find(tokens_[place], tokens_[next_[place]]);
    if (merge == nullptr) return;
    RankBucket& bucket = BucketOf(merge->rank);
    // A bucket that holds something has its rank queued already, except the one being emptied, which goes on
    // anyway.
    if (bucket.empty()) ranks_.push(merge->rank);
    bucket.Put(place);
  }

  // Runs ask for one rank many times.
  RankBucket& BucketOf(int32_t rank) {
    if (last_ == nullptr || last_rank_ != rank) {
      const uint32_t* known = bucket_of_.Find(static_cast<uint32_t>(rank));
      if (known == nullptr) {
        bucket_of_.Put(static_cast<uint32_t>(rank), static_cast<uint32_t>(buckets_.size()));
        last_ = &buckets_.emplace_back();
      } else {
        last_ = &buckets_[*known];
      }
      last_rank_ = rank;
    }
    return *last_;
  }

  void Apply(int32_t place, int32_t rank) {
    const int32_t right = next_[place];
    if (tokens_[place] == kGone || right == -1) return;
    const MergeTable::Merge* merge = table_.Find(tokens_[place], tokens_[right]);
    if (merge == nullptr || merge->rank != rank) return;  // a neighbour has merged since
    tokens_[place] = merge->result;
    tokens_[right] = kGone;
    next_[place] = next_[right];
    if (next_[right] != -1) previous_[next_[right]] = place;
    Offer(previous_[place]);
    Offer(place);
  }

  const MergeTable& table_;
  std::vector<int32_t>& tokens_;
  std::vector<int32_t> previous_;
  std::vector<int32_t> next_;
  FlatMap<uint32_t> bucket_of_;
  std::deque<RankBucket> buckets_;  // which never move
  RankBucket* last_ = nullptr;
  int32_t last_rank_ = -1;
  std::priority_queue<int32_t, std::vector<int32_t>, std::greater<>> ranks_;
};

}  // namespace

void MergeTable::MergeAll(std::vector<int32_t>* tokens) const {
  if (tokens->size() <= kShortPiece) {
    MergeShort(tokens);
  } else {
    MergeLong(tokens);
  }
}

void MergeTable::MergeShort(std::vector<int32_t>* tokens) const {
  if (tokens->size() < 2) return;
  constexpr Merge kNone{std::numeric_limits<int32_t>::max(), 0};
  Merge pairs[kShortPiece];
  const auto find = [&](size_t i) {
    const Merge* merge = Find((*tokens)[i], (*tokens)[i + 1]);
    return merge == nullptr ? kNone : *merge;
  };
  size_t size = tokens->size();
  for (size_t i = 0; i + 1 < size; ++i) pairs[i] = find(i);
  while (size > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < size; ++i) {
      if (pairs[i].rank < pairs[best].rank) best = i;
    }
    if (pairs[best].rank == kNone.rank) break;
    (*tokens)[best] = pairs[best].result;
    tokens->erase(tokens->begin() + static_cast<std::ptrdiff_t>(best) + 1);
    --size;
    for (size_t i = best + 1; i + 1 < size; ++i) pairs[i] = pairs[i + 1];
    if (best + 1 < size) pairs[best] = find(best);
    if (best > 0) pairs[best - 1] = find(best - 1);
  }
}

void MergeTable::MergeLong(std::vector<int32_t>* tokens) const { LongMerge(*this, tokens).Run(); }

}  // namespace weir
