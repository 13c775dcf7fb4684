// What the ledgers cost: their part of the steps of eight sequences, measured in the same run as those steps.
//
//     ledger_cost                    8 requests to random weights, held to nothing: to see that it works
//     ledger_cost MODEL [REQUESTS]   64 requests; exit code 1 above 0.5 % (LG-6)
//
// Eight requests run at any time, prompts of 64 and answers of 100 tokens. After every step of eight the accounts that the
// engine has just kept are kept once more, with its own functions, on eight other sequences that were last touched a step ago,
// and that is timed: waits, four readings of the clock, the step's charges. After every request the server's part is done once more: its
// changes of stage with a reading each, the Server-Timing header, the metrics, the line of the access log and the ring, of which
// much would be there without a ledger. All of it runs on the engine's thread here, where nothing hides it.
#include <fmt/format.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "base/check.h"
#include "engine/engine.h"
#include "engine/scheduler/step_account.h"
#include "server/ledger_ring.h"
#include "server/server_metrics.h"

namespace weir {
namespace {

constexpr int kBatch = 8;
constexpr int kPrompt = 64;
constexpr int kOutput = 100;
constexpr double kMostShare = 0.005;

TimePoint Now() { return MonotonicClock::Get().Now(); }

// Eight sequences as the engine has them, whose ledgers can be charged at will.
class Shadow {
 public:
  Shadow() {
    for (int i = 0; i < kBatch; ++i) {
      auto sequence = std::make_unique<Sequence>();
      sequence->tokens.assign(kPrompt + 1, 1);
      sequence->num_prompt_tokens = sequence->num_computed_tokens = kPrompt;
      sequence->stream = std::make_shared<RequestStream>(std::to_string(i), nullptr, 1);
      sequences_.push_back(std::move(sequence));
    }
  }

  // The accounts of a step like this one.
  void ChargeLike(const StepRecord& step) {
    StepPlan plan;
    for (int i = 0; i < kBatch; ++i) {
      Sequence* sequence = sequences_[i].get();
      const bool has_prompt = step.num_prefill_tokens > 0 && i == 0;
      sequence->num_computed_tokens = has_prompt ? 0 : kPrompt;
      plan.Add(sequence, has_prompt ? step.num_prefill_tokens : 1, /*is_first=*/false);
    }
    cost_.Observe(step.num_tokens, step.kv_tokens_read, step.forward, plan.kind());
    const TimePoint begun = Now();
    StepTimes times;
    times.started = Now();
    ChargeWaits({}, sequences_, plan, times.started);
    times.forward_started = Now();
    times.forward_ended = Now();
    times.ended = Now();
    ChargeStep(plan, cost_, times);
    const TimePoint done = Now();
    of_steps += done - begun;
    time_of_steps += step.ended - step.started;
    num_tokens += kBatch;
    ++num_steps;
  }

  void ChargeRequest() {
    const TimePoint begun = Now();
    ClosedRequest closed;
    closed.id = "a-request-of-some-length";
    closed.method = "POST";
    closed.path = "/v1/completions";
    closed.model = "m";
    closed.status = 200;
    closed.finish_reason = "length";
    closed.num_choices = 1;
    closed.prompt_tokens = kPrompt;
    closed.output_tokens = kOutput;
    closed.ledger.Begin(Now(), Stage::kRecv);
    for (const Stage stage :
         {Stage::kAdmit, Stage::kRecv, Stage::kParse, Stage::kTokenize, Stage::kQueueGrammar, Stage::kAdmit,
          Stage::kHandoff, Stage::kQueueSlot, Stage::kSchedule, Stage::kPrefill, Stage::kSample,
          Stage::kSchedule, Stage::kDecode, Stage::kHandoff, Stage::kDetokenize, Stage::kSerialize,
          Stage::kSend}) {
      closed.ledger.Enter(stage, Now());
      if (stage == Stage::kSample) closed.ledger.NoteFirstToken(Now());
    }
    CHECK(!ServerTiming(closed.ledger).empty());
    closed.ledger.Close(Now());
    metrics_.ObserveClosed(closed);
    CHECK(!AccessLogLine(closed).empty());
    ring_.Add(std::move(closed));
    of_requests += Now() - begun;
    ++num_requests;
  }

  Duration of_steps{}, time_of_steps{}, of_requests{};
  int num_steps = 0, num_requests = 0;
  int64_t num_tokens = 0;

 private:
  std::vector<std::unique_ptr<Sequence>> sequences_;
  CostModel cost_;
  ServerMetrics metrics_{"m"};
  LedgerRing ring_;
};

Request MakeRequest(int number, int vocab_size) {
  Request request;
  request.id = std::to_string(number);
  for (int i = 0; i < kPrompt; ++i) request.prompt.push_back((number * 131 + i * 7) % vocab_size);
  request.sampling.temperature = 0;
  request.max_tokens = kOutput;
  request.ignore_eos = true;
  return request;
}

bool HasEnded(RequestStream& stream) {
  bool has_ended = false;
  for (TokenEvent event; stream.Pop(&event);) has_ended = has_ended || event.finish != FinishReason::kNone;
  return has_ended;
}

int Measure(const EngineOptions& options, int num_requests, bool is_held_to_it) {
  const Result<std::unique_ptr<Engine>> made = Engine::Create(options);
  if (!made.has_value()) {
    fmt::print(stderr, "{}\n", made.error().message());
    return 2;
  }
  Engine& engine = **made;
  Shadow shadow;
  engine.set_step_observer([&](const StepRecord& step) {
    if (step.num_sequences == kBatch) shadow.ChargeLike(step);
  });
  std::vector<std::shared_ptr<RequestStream>> running(kBatch);
  int num_sent = 0;
  do {
    for (std::shared_ptr<RequestStream>& stream : running) {
      if (stream != nullptr && !HasEnded(*stream)) continue;
      if (stream != nullptr) shadow.ChargeRequest();
      stream = nullptr;
      if (num_sent == num_requests) continue;
      Admitted<std::shared_ptr<RequestStream>> sent =
          engine.Submit(Reservation(), MakeRequest(num_sent++, engine.model().config().vocab_size), nullptr);
      CHECK(sent.ok());
      stream = std::move(sent.value);
    }
  } while (engine.Step() || num_sent < num_requests);
  CHECK(shadow.num_steps > 0 && shadow.num_requests == num_requests);
  const double per_step = 1e6 * ToSeconds(shadow.of_steps) / shadow.num_steps;
  const double per_request = 1e6 * ToSeconds(shadow.of_requests) / num_requests;
  const double step = 1e6 * ToSeconds(shadow.time_of_steps) / shadow.num_steps;
  const double of_steps = per_step / step;
  // In the time of a step of eight, so many requests end.
  const double of_requests = per_request * kBatch / kOutput / step;
  fmt::print(
      "{} steps of {} sequences, {:.1f} us each, {:.0f} tokens/s\n"
      "accounts of a step {:.2f} us: {:.3f} % of it\n"
      "accounts of a request {:.1f} us, {:.2f} us for each step: {:.3f} %\n"
      "both: {:.3f} % of the tokens/s, at most {} % (LG-6)\n",
      shadow.num_steps, kBatch, step,
      static_cast<double>(shadow.num_tokens) / ToSeconds(shadow.time_of_steps), per_step, 100 * of_steps,
      per_request, per_request * kBatch / kOutput, 100 * of_requests, 100 * (of_steps + of_requests),
      100 * kMostShare);
  return is_held_to_it && of_steps + of_requests > kMostShare ? 1 : 0;
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  weir::EngineOptions options;
  options.max_num_seqs = weir::kBatch;
  options.prefix_cache = false;
  const bool is_real = argc > 1;
  if (is_real) {
    options.model_path = argv[1];
    options.most_model_len = 1024;
  } else {
    options.synthetic = weir::SyntheticSpec{.shape = "smollm2-135m", .quantization = "q8_0"};
  }
  return weir::Measure(options, argc > 2 ? std::atoi(argv[2]) : is_real ? 64 : 8, is_real);
}
