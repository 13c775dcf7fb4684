#include "perf/driver/bench_matrix.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace weir {
namespace {

// Time of a warm-up relative to a measured round: the whole prompt, little of the output.
constexpr double kWarmUpWeight = 0.4;

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

Matrix::Matrix(const BenchSpec& spec, BenchEngine* bench, const ProgressFunction& progress)
    : spec_(spec), bench_(*bench), progress_(progress), rng_(spec.seed) {
  if (spec.profile) steps_.emplace(&bench->engine(), true);
  const StepBreakdown nothing(steps_ ? steps_->segment_names() : std::span<const std::string_view>());
  for (const int prompt_len : spec.prompt_lens) {
    for (const int batch_size : spec.batch_sizes) cells_.push_back({prompt_len, batch_size, {}, nothing});
  }
}

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
  sample.started = started;
  sample.prefill = *begun - started;
  sample.decode = *ended - *begun;
  End(engine, &lanes);
  return sample;
}

Status Matrix::Run() {
  const std::vector<TokenId> ids = OrdinaryTokenIds(bench_.engine().tokenizer());
  if (ids.empty()) return DataLoss("the model's vocabulary holds no ordinary token to make prompts of");
  double total = 0, done = 0;
  for (const Cell& cell : cells_) total += Weight(cell) * (spec_.repeats + kWarmUpWeight);
  std::string last;
  // Round 0 warms up. Rounds are outermost, so that drift hits all cells alike.
  for (int round = 0; round <= spec_.repeats; ++round) {
    for (Cell& cell : cells_) {
      progress_(
          done / total,
          fmt::format("prompt {}, batch {}, {}{}", cell.prompt_len, cell.batch_size,
                      round == 0 ? "warm-up" : fmt::format("repeat {} of {}", round, spec_.repeats), last));
      done += Weight(cell) * (round == 0 ? kWarmUpWeight : 1);
      // A warm-up need not be long: it touches the pages and starts the threads.
      const int gen_len = round == 0 ? std::min(spec_.gen_len, 8) : spec_.gen_len;
      if (steps_) steps_->Clear();
      Result<MatrixSample> sample =
          RunMatrixCell(&bench_, cell.prompt_len, gen_len, cell.batch_size, &rng_, ids, spec_.stop);
      if (!sample && sample.error().code() == StatusCode::kCancelled) return OkStatus();
      if (!sample) return std::move(sample).error();
      if (round == 0) continue;
      cell.samples.push_back(*sample);
      last = fmt::format("; before: {:.0f} prefill, {:.1f} decode tok/s",
                         cell.batch_size * cell.prompt_len / ToSeconds(sample->prefill),
                         cell.batch_size * spec_.gen_len / ToSeconds(sample->decode));
      if (steps_) AddSteps(*sample, &cell);
    }
  }
  return OkStatus();
}

// The steps that were timed; later ones only bring the sequences to their end.
void Matrix::AddSteps(const MatrixSample& sample, Cell* cell) const {
  const double timed_ms = ToMilliseconds(sample.prefill + sample.decode);
  for (const StepSample& step : steps_->Samples(sample.started)) {
    if (step.started_ms < timed_ms) cell->breakdown.Add(step);
  }
}

// Relative time of a cell: a decode step of a small batch takes about as long as eight prompt tokens.
double Matrix::Weight(const Cell& cell) const {
  return static_cast<double>(cell.batch_size) * cell.prompt_len +
         8.0 * spec_.gen_len * (1 + cell.batch_size / 8);
}

Json Matrix::Rows(Validity* validity) const {
  Json rows = Json::array();
  for (const Cell& cell : cells_) {
    if (cell.samples.empty()) continue;
    rows.push_back(MatrixRow({cell.prompt_len, spec_.gen_len, cell.batch_size, cell.samples,
                              spec_.profile ? &cell.breakdown : nullptr},
                             bench_.limit()));
    CheckMatrixRow(rows.back(), validity);
  }
  return rows;
}

}  // namespace weir
