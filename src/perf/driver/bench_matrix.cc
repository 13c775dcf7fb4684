#include "perf/driver/bench_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir {
namespace {

// A sequence of a cell and the stamps of its tokens.
struct Lane {
  std::shared_ptr<RequestStream> stream;
  std::vector<TimePoint> tokens;
};

Status Collect(std::vector<Lane>* lanes) {
  for (Lane& lane : *lanes) {
    TokenEvent event;
    while (lane.stream->Pop(&event)) {
      if (event.finish == FinishReason::kError) return event.error;
      if (event.token >= 0) lane.tokens.push_back(event.at);
    }
  }
  return OkStatus();
}

// The moment from which every sequence has a token; empty while one has none.
std::optional<TimePoint> AllBegun(const std::vector<Lane>& lanes) {
  TimePoint latest{};
  for (const Lane& lane : lanes) {
    if (lane.tokens.empty()) return std::nullopt;
    latest = std::max(latest, lane.tokens.front());
  }
  return latest;
}

// When the slowest sequence had `count` tokens after `begun`; empty while one has fewer.
std::optional<TimePoint> AllHave(const std::vector<Lane>& lanes, TimePoint begun, int count) {
  TimePoint latest{};
  for (const Lane& lane : lanes) {
    const auto first = std::upper_bound(lane.tokens.begin(), lane.tokens.end(), begun);
    if (lane.tokens.end() - first < count) return std::nullopt;
    latest = std::max(latest, *(first + (count - 1)));
  }
  return latest;
}

void End(Engine& engine, std::vector<Lane>* lanes) {
  for (Lane& lane : *lanes) lane.stream->Cancel();
  while (!engine.idle()) engine.Step();
  lanes->clear();
}

}  // namespace

Result<MatrixSample> RunMatrixCell(BenchEngine* bench, int prompt_len, int gen_len, int batch_size, Rng* rng,
                                   const std::vector<TokenId>& ids, const std::atomic<bool>* stop) {
  Engine& engine = bench->engine();
  std::vector<Request> requests(static_cast<size_t>(batch_size));
  for (int i = 0; i < batch_size; ++i) {
    requests[i].id = fmt::format("matrix-{}", i);
    requests[i].prompt = RandomPrompt(ids, prompt_len, rng);
    requests[i].sampling.temperature = 0;
    // More than is timed: early sequences go on while later prompts are computed, and all must run to the end.
    requests[i].max_tokens = engine.max_model_len() - prompt_len;
    requests[i].ignore_eos = true;
  }
  std::vector<Lane> lanes;
  const TimePoint started = MonotonicClock::Get().Now();
  for (Request& request : requests) {
    request.ledger.Begin(started, Stage::kAdmit);
    Admitted<std::shared_ptr<RequestStream>> admitted =
        engine.Submit(Reservation(), std::move(request), nullptr);
    if (!admitted.ok()) {
      End(engine, &lanes);
      return admitted.refused.status;
    }
    lanes.push_back({std::move(admitted.value), {}});
  }
  MatrixSample sample;
  std::optional<TimePoint> begun, ended;
  while (!ended) {
    if (stop != nullptr && stop->load(std::memory_order_relaxed)) {
      End(engine, &lanes);
      return Cancelled("interrupted");
    }
    const bool worked = engine.Step();
    Status collected = Collect(&lanes);
    if (collected.ok() && !worked) collected = Internal("a sequence ended before its tokens were counted");
    if (!collected.ok()) {
      End(engine, &lanes);
      return collected;
    }
    if (!begun) begun = AllBegun(lanes);
    if (begun) ended = AllHave(lanes, *begun, gen_len);
  }
  sample.prefill = *begun - started;
  sample.decode = *ended - *begun;
  End(engine, &lanes);
  return sample;
}

Json MatrixRow(int prompt_len, int gen_len, int batch_size, const std::vector<MatrixSample>& samples,
               const LimitInput& limit) {
  const auto median = [&](Duration MatrixSample::*part) {
    std::vector<double> seconds;
    for (const MatrixSample& sample : samples) seconds.push_back(ToSeconds(sample.*part));
    std::sort(seconds.begin(), seconds.end());
    const size_t n = seconds.size();
    return n % 2 == 1 ? seconds[n / 2] : (seconds[n / 2 - 1] + seconds[n / 2]) / 2;
  };
  const double prefill_s = median(&MatrixSample::prefill), decode_s = median(&MatrixSample::decode);
  const double prompt_tokens = static_cast<double>(batch_size) * prompt_len;
  const double new_tokens = static_cast<double>(batch_size) * gen_len;
  const std::optional<Limit> prefill = PrefillLimit(limit);
  const std::optional<Limit> decode = DecodeLimit(limit, batch_size, prompt_len + gen_len / 2.0);
  Json row;
  row["pp"] = prompt_len;
  row["tg"] = gen_len;
  row["pl"] = batch_size;
  row["depth"] = 0;
  row["shared"] = false;
  row["t_pp_s"] = prefill_s;
  row["t_tg_s"] = decode_s;
  row["speed_pp_tps"] = prompt_tokens / prefill_s;
  row["speed_tg_tps"] = new_tokens / decode_s;
  row["speed_tps"] = (prompt_tokens + new_tokens) / (prefill_s + decode_s);
  row["limit_pp_tps"] = prefill ? Json(prefill->tokens_per_s) : Json(nullptr);
  row["limit_tg_tps"] = decode ? Json(decode->tokens_per_s) : Json(nullptr);
  row["share_pp_ratio"] = prefill ? Json(prompt_tokens / prefill_s / prefill->tokens_per_s) : Json(nullptr);
  row["share_tg_ratio"] = decode ? Json(new_tokens / decode_s / decode->tokens_per_s) : Json(nullptr);
  Json list = Json::array();
  for (const MatrixSample& sample : samples) list.push_back((sample.prefill + sample.decode).count());
  row["samples_ns"] = std::move(list);
  return row;
}

Result<Json> RunMatrix(const BenchSpec& spec, BenchEngine* bench, const ProgressFunction& progress) {
  struct Cell {
    int prompt_len, batch_size;
    std::vector<MatrixSample> samples;
  };
  std::vector<Cell> cells;
  for (const int prompt_len : spec.prompt_lens) {
    for (const int batch_size : spec.batch_sizes) cells.push_back({prompt_len, batch_size, {}});
  }
  const std::vector<TokenId> ids = OrdinaryTokenIds(bench->engine().tokenizer());
  if (ids.empty()) return DataLoss("the model's vocabulary holds no ordinary token to make prompts of");
  Rng rng(spec.seed);
  const double total = static_cast<double>(cells.size()) * (spec.repeats + 1);
  double done = 0;
  bool stopped = false;
  // Round 0 warms up. Rounds are outermost, so that drift hits all cells alike.
  for (int round = 0; round <= spec.repeats && !stopped; ++round) {
    for (Cell& cell : cells) {
      progress(done++ / total,
               fmt::format("prompt {}, batch {}, {}", cell.prompt_len, cell.batch_size,
                           round == 0 ? "warm-up" : fmt::format("repeat {} of {}", round, spec.repeats)));
      // A warm-up need not be long: it touches the pages and starts the threads.
      const int gen_len = round == 0 ? std::min(spec.gen_len, 8) : spec.gen_len;
      Result<MatrixSample> sample =
          RunMatrixCell(bench, cell.prompt_len, gen_len, cell.batch_size, &rng, ids, spec.stop);
      if (!sample && sample.error().code() == StatusCode::kCancelled) {
        stopped = true;
        break;
      }
      if (!sample) return std::move(sample).error();
      if (round > 0) cell.samples.push_back(*sample);
    }
  }
  Json matrix = Json::array();
  for (const Cell& cell : cells) {
    if (cell.samples.empty()) continue;
    matrix.push_back(MatrixRow(cell.prompt_len, spec.gen_len, cell.batch_size, cell.samples, bench->limit()));
  }
  return matrix;
}

}  // namespace weir
