#include "perf/workload/dataset_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <sstream>

#include "base/file.h"
#include "base/json.h"

namespace weir {
namespace {

std::string BaseName(const std::string& path) { return std::filesystem::path(path).filename().string(); }

// Calls `take` with every line that is not blank; stops at the first error and names the line.
Status ForEachLine(const std::string& path, const std::function<Status(const Json&)>& take) {
  WEIR_ASSIGN_OR_RETURN(const std::string content, ReadFile(path));
  std::istringstream lines(content);
  std::string line;
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const Result<Json> json = ParseJson(line);
    const Status status = json ? take(*json) : json.error();
    if (!status.ok()) return DataLoss(fmt::format("'{}' line {}: {}", path, number, status.message()));
  }
  return OkStatus();
}

std::optional<int> Positive(const Json& json, std::string_view key) {
  const auto number = JsonNumber(FindJson(json, {key}));
  if (!number || !(*number >= 1) || *number > 1e6) return std::nullopt;
  return static_cast<int>(*number);
}

// `prompt` or `messages` of a line; false when it has neither.
bool TakeText(const Json& json, Prompt* out) {
  if (const auto text = JsonString(FindJson(json, {"prompt"})); text && !text->empty()) {
    out->text = *text;
    return true;
  }
  const Json* messages = FindJson(json, {"messages"});
  if (messages == nullptr || !messages->is_array() || messages->empty()) return false;
  out->messages = DumpJson(*messages);
  return true;
}

Status Empty(const std::string& path) { return DataLoss(fmt::format("'{}' has no prompts", path)); }

// The first question of a conversation and the answer it got.
struct Pair {
  std::string question, answer;
};
std::optional<Pair> FirstPair(const Json& entry) {
  const Json* turns = FindJson(entry, {"conversations"});
  if (turns == nullptr || !turns->is_array() || turns->size() < 2) return std::nullopt;
  const auto from = JsonString(FindJson((*turns)[0], {"from"})).value_or("");
  const auto reply = JsonString(FindJson((*turns)[1], {"from"})).value_or("");
  if ((from != "human" && from != "user") || (reply != "gpt" && reply != "assistant")) return std::nullopt;
  const auto question = JsonString(FindJson((*turns)[0], {"value"}));
  const auto answer = JsonString(FindJson((*turns)[1], {"value"}));
  if (!question || !answer || question->empty() || answer->empty()) return std::nullopt;
  return Pair{*question, *answer};
}

}  // namespace

Result<Dataset> ReadShareGpt(const DatasetRequest& request) {
  const std::string& path = request.spec.path;
  WEIR_ASSIGN_OR_RETURN(const Json list, ReadJsonFile(path));
  if (!list.is_array()) return DataLoss(fmt::format("'{}' is no JSON array of conversations", path));
  std::vector<size_t> order(list.size());
  for (size_t i = 0; i < order.size(); ++i) order[i] = i;
  Rng rng(request.seed);
  for (size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[rng.NextBelow(i)]);
  Dataset out;
  size_t dropped = 0;
  for (const size_t index : order) {
    if (static_cast<int>(out.prompts.size()) >= request.count) break;
    const std::optional<Pair> pair = FirstPair(list[index]);
    if (!pair) {
      ++dropped;
      continue;
    }
    WEIR_ASSIGN_OR_RETURN(const int answer_tokens, request.count_tokens(pair->answer));
    Prompt prompt{fmt::format("{}-{}", BaseName(path), index), pair->question};
    prompt.max_tokens = std::max(1, answer_tokens);
    out.prompts.push_back(std::move(prompt));
  }
  if (out.prompts.empty()) return Empty(path);
  if (dropped > 0) {
    out.notes.push_back(
        fmt::format("{} of the conversations looked at were left out: no question by a human followed by an "
                    "answer",
                    dropped));
  }
  return out;
}

Result<Dataset> ReadJsonLines(const DatasetRequest& request) {
  const std::string& path = request.spec.path;
  Dataset out;
  WEIR_RETURN_IF_ERROR(ForEachLine(path, [&](const Json& json) {
    Prompt prompt;
    prompt.id = fmt::format("{}-{}", BaseName(path), out.prompts.size());
    if (!TakeText(json, &prompt)) return DataLoss("expected \"prompt\" (text) or \"messages\" (a list)");
    prompt.max_tokens = Positive(json, "max_tokens").value_or(0);
    out.prompts.push_back(std::move(prompt));
    return OkStatus();
  }));
  if (out.prompts.empty()) return Empty(path);
  return out;
}

Result<Dataset> ReadTrace(const DatasetRequest& request) {
  const std::string& path = request.spec.path;
  struct Entry {
    double at_ms;
    Prompt prompt;
    std::string prefix_id;
    int prompt_tokens = 0;
  };
  std::vector<Entry> entries;
  WEIR_RETURN_IF_ERROR(ForEachLine(path, [&](const Json& json) {
    const auto at = JsonNumber(FindJson(json, {"at_ms"}));
    if (!at || !(*at >= 0) || !(*at < 1e12)) return DataLoss("expected \"at_ms\", a time in ms from 0 on");
    Entry entry{*at, {}, {}, 0};
    entry.prompt.id = fmt::format("{}-{}", BaseName(path), entries.size());
    entry.prompt.max_tokens = Positive(json, "max_tokens").value_or(0);
    if (!TakeText(json, &entry.prompt)) {
      const auto tokens = Positive(json, "prompt_tokens");
      if (!tokens) return DataLoss("expected \"prompt\", \"messages\" or \"prompt_tokens\"");
      entry.prompt_tokens = *tokens;
      if (const Json* id = FindJson(json, {"prefix_id"}); id != nullptr && !id->is_null())
        entry.prefix_id = DumpJson(*id);
    }
    entries.push_back(std::move(entry));
    return OkStatus();
  }));
  if (entries.empty()) return Empty(path);
  std::stable_sort(entries.begin(), entries.end(),
                   [](const Entry& a, const Entry& b) { return a.at_ms < b.at_ms; });
  if (static_cast<int>(entries.size()) > request.count) entries.resize(static_cast<size_t>(request.count));
  Dataset out;
  Rng rng(request.seed);
  PromptMaker maker(request.count_tokens);
  std::map<std::string, std::string> prefixes;  // half of the first prompt that names it
  double shared_tokens = 0, all_tokens = 0;
  for (Entry& entry : entries) {
    if (entry.prompt_tokens > 0) {
      std::string prefix;
      if (!entry.prefix_id.empty() && entry.prompt_tokens > 1) {
        std::string& known = prefixes[entry.prefix_id];
        if (known.empty()) {
          WEIR_ASSIGN_OR_RETURN(known, maker.Extend("", entry.prompt_tokens / 2, &rng));
        } else {
          shared_tokens += entry.prompt_tokens / 2;
        }
        WEIR_ASSIGN_OR_RETURN(const int prefix_tokens, request.count_tokens(known));
        if (prefix_tokens < entry.prompt_tokens) prefix = known;
      }
      WEIR_ASSIGN_OR_RETURN(entry.prompt.text, maker.Extend(prefix, entry.prompt_tokens, &rng));
      entry.prompt.num_tokens = entry.prompt_tokens;
      all_tokens += entry.prompt_tokens;
    }
    out.arrivals_s.push_back((entry.at_ms - entries.front().at_ms) / 1000);
    out.prompts.push_back(std::move(entry.prompt));
  }
  if (all_tokens > 0) out.expected_cache_ratio = shared_tokens / all_tokens;
  return out;
}

}  // namespace weir
