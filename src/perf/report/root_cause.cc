#include "perf/report/root_cause.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "perf/report/evidence.h"
#include "perf/report/number_format.h"
#include "perf/report/tokenizer_wait.h"
#include "perf/statistics/stage_causes.h"

namespace weir {
namespace {

constexpr double kLoss = 0.10;  // of all residence: a gap that GAP-2 <= 1.10 does not call one needs no cause
constexpr double kFailures = 0.02;  // of all requests
constexpr double kAlone = 1.5;      // sequences that ran together: fewer is one after another

// Where a request was, in the order in which it goes through.
enum Part { kTokenizer, kClient, kHttp, kAdmission, kQueue, kMemory, kBudget, kComputed, kOutput, kNoPart };
constexpr int kNumParts = kNoPart;
using Parts = std::array<double, kNumParts>;

Part PartOfStage(std::string_view stage) {
  // Not here, so computed: the handoff, in which the engine ends the step that it is in.
  constexpr std::pair<std::string_view, Part> kStages[] = {
      {"recv", kHttp},        {"parse", kHttp},           {"template", kTokenizer},  {"tokenize", kTokenizer},
      {"admit", kAdmission},  {"queue_slot", kQueue},     {"queue_fair", kQueue},    {"queue_kv", kMemory},
      {"preempted", kMemory}, {"recompute", kMemory},     {"queue_budget", kBudget}, {"detokenize", kOutput},
      {"send", kClient},      {"output_blocked", kClient}};
  for (const auto& [name, part] : kStages)
    if (stage == name) return part;
  return kComputed;
}

bool TimedOut(const RequestRecord& record) {
  return record.outcome == Outcome::kFailed && record.error &&
         (record.error->error_class == "timeout" || record.error->error_class == "deadline_dropped");
}

// The residence of a request whose account the server gave. One that its client left is cut off there: what the server
// did for it later is no time of the client's.
Parts CutByLedger(const RequestRecord& record, const Json& ledger, double tokenizer_wait_ms) {
  // As the server's account has them; decode and what belongs to it come last.
  constexpr std::string_view kOrder[] = {"recv",         "parse",      "template",     "tokenize",
                                         "admit",        "handoff",    "queue_slot",   "queue_kv",
                                         "queue_budget", "queue_fair", "queue_grammar"};
  Parts parts{};
  const double residence = record.done_ms - record.sent_ms;
  const auto stamp = [&](std::string_view name) {
    return JsonNumber(FindJson(record.server, {"clock", name}));
  };
  const auto started = stamp("started_ms"), closed = stamp("closed_ms");
  const double before = started ? std::clamp(*started - record.sent_ms, 0.0, residence) : 0;
  const double waited = std::min(before, tokenizer_wait_ms);
  parts[kTokenizer] += waited;
  parts[kClient] += before - waited;
  double left = residence - before;
  const auto take = [&](std::string_view stage, double ms) {
    const double taken = std::clamp(ms, 0.0, left);
    parts[PartOfStage(stage)] += taken;
    left -= taken;
  };
  for (const std::string_view stage : kOrder) take(stage, JsonNumber(FindJson(ledger, {stage})).value_or(0));
  for (const auto& [stage, ms] : ledger.items()) {
    const bool counted = std::find(std::begin(kOrder), std::end(kOrder), stage) != std::end(kOrder);
    if (!counted && !stage.starts_with("overlap_")) take(stage, JsonNumber(&ms).value_or(0));
  }
  // What the server's account does not hold lies outside it.
  if (closed || !started) parts[kClient] += left;
  return parts;
}

struct Account {
  Parts all{}, timed_out{};
  double total_ms = 0;
  int requests = 0, timeouts = 0, other_failures = 0, without_ledger = 0;
  std::map<std::string, int> classes;
};

Account Add(const LadderStep& step, double stage) {
  Account out;
  const std::vector<double> tokenizer_waits = TokenizerWaits(step.records);
  for (size_t i = 0; i < step.records.size(); ++i) {
    const RequestRecord& record = step.records[i];
    if (record.load_stage != static_cast<int>(stage) || record.outcome == Outcome::kCancelled ||
        record.outcome == Outcome::kShed)
      continue;
    ++out.requests;
    const bool timed_out = TimedOut(record);
    out.timeouts += timed_out;
    if (record.outcome == Outcome::kFailed && !timed_out) {
      ++out.other_failures;
      ++out.classes[record.error ? record.error->error_class : std::string("unknown")];
      continue;
    }
    const Json* ledger = FindJson(record.server, {"ledger_ms"});
    Parts parts{};
    if (ledger != nullptr && ledger->is_object()) {
      parts = CutByLedger(record, *ledger, tokenizer_waits[i]);
    } else if (timed_out) {
      // Without an account only the client knows: whoever has no token yet was waiting for its turn.
      parts[record.first_token_ms ? kComputed : kQueue] = record.done_ms - record.sent_ms;
    } else {
      ++out.without_ledger;
      parts[kComputed] = record.done_ms - record.sent_ms;
    }
    for (int part = 0; part < kNumParts; ++part) {
      out.all[part] += parts[part];
      out.total_ms += parts[part];
      if (timed_out) out.timed_out[part] += parts[part];
    }
  }
  return out;
}

struct Named {
  std::string cause, text, pointer;
};

// More wait than run. Why, depends on what the server was told.
Named NameQueue(const LadderStep& step, const Account& account, const std::string& how_much) {
  const auto batch = MeanBatch(step.records);
  const auto places = NumberAt(step.document, "/server_version/max_num_seqs");
  const auto in_flight = NumberAt(step.document, "/results/0/concurrency");
  const bool sequential = StringAt(step.document, "/server_version/modes/scheduler") == "sequential";
  const std::string offered = in_flight ? FormatNumber(in_flight) + " in flight" : "this rate";
  if (sequential || (batch && *batch < kAlone && (!in_flight || *in_flight >= 2))) {
    return {kBatchingOff,
            fmt::format("Batching is off: {} of requests' time goes into waiting for one place, {} or not; "
                        "{} sequences ran together.",
                        how_much, offered, batch ? fmt::format("{:.1f}", *batch) : "not known how many"),
            "/server_version/max_num_seqs"};
  }
  const auto queue = StringAt(step.document, "/server_version/modes/queue");
  const bool never_refused = NumberAt(step.document, "/results/0/counts/shed").value_or(0) == 0;
  if (queue == "unbounded" || (!queue && account.timeouts > 0 && never_refused)) {
    return {kQueueUnbounded,
            fmt::format("The queue is unbounded: {} of requests' time goes into waiting for {} places, {} "
                        "timed out, and none was refused.",
                        how_much, FormatNumber(places), account.timeouts),
            "/server_version/modes/queue"};
  }
  return {kFewPlaces,
          fmt::format("There are too few places: {} of requests' time goes into waiting for one of {}, with "
                      "{}.",
                      how_much, FormatNumber(places), offered),
          "/server_version/max_num_seqs"};
}

Named Name(const LadderStep& step, const Account& account, Part part, double share) {
  const std::string how_much = FormatPercent(std::round(share * 1000) / 1000);
  switch (part) {
    case kQueue:
      return NameQueue(step, account, how_much);
    case kTokenizer:
      return {kSlowTokenizer,
              fmt::format("The tokenizer is slow: {} of requests' time goes into chat template and "
                          "tokenizing, or into waiting while it does others' prompts.",
                          how_much),
              "/requests_file"};
    case kClient:
      return {kSlowClient,
              fmt::format("The client, or the way to it, is slow: {} of requests' time passes before the "
                          "server sees them or after it has given the bytes away.",
                          how_much),
              "/results/0/client"};
    case kMemory:
      return {"KV cache too small",
              fmt::format("The KV cache is too small: {} of requests' time goes into waiting for blocks or "
                          "computing again what was dropped.",
                          how_much),
              "/server_version/kv_blocks"};
    case kBudget:
      return {
          "steps too small",
          fmt::format("Steps hold too few tokens: {} of requests' time goes into waiting for room in one.",
                      how_much),
          "/server_version/max_num_batched_tokens"};
    case kAdmission:
      return {"slow admission",
              fmt::format("{} of requests' time passes between the tokenizer and the queue.", how_much),
              "/requests_file"};
    case kHttp:
      return {"slow upload",
              fmt::format("{} of requests' time goes into reading and parsing them.", how_much),
              "/requests_file"};
    case kOutput:
      return {"slow detokenizer", fmt::format("{} of requests' time goes into text.", how_much),
              "/requests_file"};
    case kComputed:
    case kNoPart:
      break;
  }
  return {kShortTimeout,
          fmt::format("The client's timeout of {} s is too short: {} of {} requests were given up while the "
                      "server was computing them.",
                      FormatNumber(NumberAt(step.document, "/results/0/timeout_s")), account.timeouts,
                      account.requests),
          "/results/0/timeout_s"};
}

Json ToJson(const LadderStep& step, const Named& named, double share) {
  return {{"cause", named.cause},
          {"share_ratio", share},
          {"text", named.text},
          {"evidence", Json::array({Evidence(step.file, named.pointer, step.document),
                                    Evidence(step.file, "/results/0/counts", step.document)})}};
}

}  // namespace

Json NameRootCauses(const LadderStep& step) {
  Json out = {{"file", step.file}, {"step", step.id}, {"known", false}, {"why_unknown", nullptr}};
  out["causes"] = Json::array();
  const auto stage = NumberAt(step.document, "/results/0/load_stage").value_or(0);
  const Account account = Add(step, stage);
  if (account.requests == 0 || !(account.total_ms > 0)) {
    out["why_unknown"] = step.records.empty() ? "the records of the requests are missing"
                                              : "no request was answered or timed out";
    if (account.other_failures == 0) return out;
  }
  std::vector<std::pair<double, Named>> found;
  Part main_part = kNoPart;
  if (account.timeouts > kFailures * account.requests) {
    main_part = static_cast<Part>(std::max_element(account.timed_out.begin(), account.timed_out.end()) -
                                  account.timed_out.begin());
    // Above every share: what loses requests comes before what delays them.
    const double share = account.all[main_part] / account.total_ms;
    found.emplace_back(1 + share, Name(step, account, main_part, share));
  }
  for (int part = 0; part < kNumParts && account.total_ms > 0; ++part) {
    const double share = account.all[part] / account.total_ms;
    if (part == kComputed || part == main_part || share < kLoss) continue;
    found.emplace_back(share, Name(step, account, static_cast<Part>(part), share));
  }
  if (account.other_failures > kFailures * account.requests) {
    const auto most = std::max_element(account.classes.begin(), account.classes.end(),
                                       [](const auto& a, const auto& b) { return a.second < b.second; });
    const double share = static_cast<double>(account.other_failures) / account.requests;
    found.emplace_back(
        1 + share, Named{"errors: " + most->first,
                         fmt::format("{} of {} requests failed, {} of them by {}.", account.other_failures,
                                     account.requests, most->second, most->first),
                         "/results/0/errors"});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (const auto& [rank, named] : found)
    out["causes"].push_back(ToJson(step, named, rank > 1 ? rank - 1 : rank));
  out["known"] = !found.empty() || account.without_ledger < account.requests;
  if (out["known"] == true) out["why_unknown"] = nullptr;
  if (out["known"] == false && out["why_unknown"].is_null())
    out["why_unknown"] = "the server gave no account of where its requests' time went";
  return out;
}

}  // namespace weir
