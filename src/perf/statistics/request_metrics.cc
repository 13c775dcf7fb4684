#include "perf/statistics/request_metrics.h"

#include <algorithm>

namespace weir {
namespace {

struct Chunk {
  double at_ms;
  int tokens;
};

std::vector<Chunk> ChunksOf(const RequestRecord& record) {
  std::vector<Chunk> chunks;
  size_t token = 0;
  if (record.chunk_sizes.empty()) {
    for (const double at : record.token_times_ms) chunks.push_back({at, 1});
    return chunks;
  }
  for (const int size : record.chunk_sizes) {
    if (size <= 0) continue;
    if (token >= record.token_times_ms.size()) break;
    chunks.push_back({record.token_times_ms[token], size});
    token += static_cast<size_t>(size);
  }
  return chunks;
}

std::optional<double> Since(double start, const std::optional<double>& end) {
  if (!end) return std::nullopt;
  return *end - start;
}

}  // namespace

std::optional<double> TimeToFirstToken(const RequestRecord& record) {
  return Since(record.sent_ms, record.first_token_ms);
}

std::optional<double> TimeToFirstTokenFromIntended(const RequestRecord& record) {
  return Since(record.intended_ms, record.first_token_ms);
}

std::optional<double> TimePerOutputToken(const RequestRecord& record) {
  if (!record.first_token_ms || !record.last_token_ms || record.output_tokens < 2) return std::nullopt;
  return (*record.last_token_ms - *record.first_token_ms) / (record.output_tokens - 1);
}

std::optional<double> TimePerOutputTokenWithFirst(const RequestRecord& record) {
  if (!record.last_token_ms || record.output_tokens < 1) return std::nullopt;
  return (*record.last_token_ms - record.sent_ms) / record.output_tokens;
}

std::optional<double> LargestGap(const RequestRecord& record) {
  std::vector<double> gaps;
  AppendChunkGaps(record, &gaps);
  if (gaps.empty()) return std::nullopt;
  return *std::max_element(gaps.begin(), gaps.end());
}

double Latency(const RequestRecord& record) { return record.done_ms - record.sent_ms; }
double LatencyFromIntended(const RequestRecord& record) { return record.done_ms - record.intended_ms; }

std::optional<double> LatencyToLastToken(const RequestRecord& record) {
  return Since(record.sent_ms, record.last_token_ms);
}

double LatencyWithTimeout(const RequestRecord& record, double timeout_ms) {
  return record.outcome == Outcome::kFailed ? std::max(Latency(record), timeout_ms) : Latency(record);
}

double ClientQueue(const RequestRecord& record) { return record.sent_ms - record.intended_ms; }

std::optional<double> ServerQueue(const RequestRecord& record) {
  const Json* ledger = FindJson(record.server, {"ledger_ms"});
  if (ledger == nullptr || !ledger->is_object()) return std::nullopt;
  double sum = 0;
  for (const auto& [stage, ms] : ledger->items()) {
    if (stage.starts_with("queue_")) sum += JsonNumber(&ms).value_or(0);
  }
  return sum;
}

void AppendTokenGaps(const RequestRecord& record, std::vector<double>* gaps) {
  const std::vector<Chunk> chunks = ChunksOf(record);
  for (size_t i = 1; i < chunks.size(); ++i) {
    const double gap = (chunks[i].at_ms - chunks[i - 1].at_ms) / chunks[i].tokens;
    gaps->insert(gaps->end(), static_cast<size_t>(chunks[i].tokens), gap);
  }
}

void AppendChunkGaps(const RequestRecord& record, std::vector<double>* gaps) {
  const std::vector<Chunk> chunks = ChunksOf(record);
  for (size_t i = 1; i < chunks.size(); ++i) gaps->push_back(chunks[i].at_ms - chunks[i - 1].at_ms);
}

std::vector<double> Collect(std::span<const RequestRecord> records, Outcome outcome,
                            std::optional<double> (*formula)(const RequestRecord&)) {
  std::vector<double> values;
  for (const RequestRecord& record : records) {
    if (record.outcome != outcome) continue;
    if (const std::optional<double> value = formula(record)) values.push_back(*value);
  }
  return values;
}

}  // namespace weir
