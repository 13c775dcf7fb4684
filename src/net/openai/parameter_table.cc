#include "net/openai/parameter_table.h"

#include <algorithm>
#include <array>
#include <unordered_map>
#include <vector>

namespace weir {
namespace {

constexpr uint8_t kC = kChatEndpoint;
constexpr uint8_t kP = kCompletionEndpoint;
constexpr uint8_t kCP = kGenerationEndpoints;
constexpr uint8_t kT = kTokenizeEndpoint;
constexpr uint8_t kD = kDetokenizeEndpoint;

constexpr double kMaxInteger = 9223372036854775807.0;

using enum FieldType;
using enum FieldUse;

// Ranges that depend on the model (context, vocabulary) are checked by whoever knows it.
constexpr Field kFields[] = {
    {"model", kCP | kT | kD, kString, kUsed, 1, 128, false, "required"},
    {"messages", kC | kT, kArray, kUsed, 1, 2048, false, "required"},
    {"prompt", kP | kT, kAny, kUsed, 0, 0, false, "required"},
    {"tokens", kD, kIntegers, kUsed, 0, 1 << 20, false, "required"},
    {"max_completion_tokens", kCP, kInteger, kUsed, 0, kMaxInteger, false,
     "all that is left; completions: 16"},
    {"max_tokens", kCP, kInteger, kUsed, 0, kMaxInteger, false, "all that is left; completions: 16"},
    {"min_tokens", kCP, kInteger, kUsed, 0, kMaxInteger, false, "0"},
    {"ignore_eos", kCP, kBool, kUsed, 0, 0, false, "false"},
    {"temperature", kCP, kNumber, kUsed, 0, 2, false, "1"},
    {"top_p", kCP, kNumber, kUsed, 0, 1, true, "1"},
    {"min_p", kCP, kNumber, kUsed, 0, 1, false, "0"},
    {"top_k", kCP, kInteger, kUsed, -1, kMaxInteger, false, "0"},
    {"presence_penalty", kCP, kNumber, kUsed, -2, 2, false, "0"},
    {"frequency_penalty", kCP, kNumber, kUsed, -2, 2, false, "0"},
    {"repetition_penalty", kCP, kNumber, kUsed, 0, 2, true, "1"},
    {"seed", kCP, kInteger, kUsed, -kMaxInteger, kMaxInteger, false, "random"},
    {"stop", kCP, kStringOrStrings, kUsed, 1, 4, false, "none"},
    {"stop_token_ids", kCP, kIntegers, kUsed, 0, 16, false, "none"},
    {"bad_words", kCP, kStringOrStrings, kUsed, 0, 128, false, "none"},
    {"logit_bias", kCP, kObject, kUsed, 0, 1024, false, "none"},
    {"logprobs", kC, kBool, kUsed, 0, 0, false, "false"},
    {"top_logprobs", kC, kInteger, kUsed, 0, 20, false, "0"},
    {"logprobs", kP, kInteger, kUsed, 0, 20, false, "none"},
    {"prompt_logprobs", kCP, kInteger, kUsed, 0, 20, false, "none"},
    {"n", kCP, kInteger, kUsed, 1, 8, false, "1"},
    {"best_of", kP, kInteger, kUsed, 1, 8, false, "n"},
    {"echo", kP, kBool, kUsed, 0, 0, false, "false"},
    {"stream", kCP, kBool, kUsed, 0, 0, false, "false"},
    {"stream_options", kCP, kObject, kUsed, 0, 16, false, "none"},
    {"tools", kC, kArray, kUsed, 0, 128, false, "none"},
    {"tool_choice", kC, kAny, kUsed, 0, 0, false, "auto"},
    {"parallel_tool_calls", kC, kBool, kUsed, 0, 0, false, "true"},
    {"response_format", kC, kObject, kUsed, 0, 64, false, "text"},
    {"modalities", kC, kArray, kUsed, 0, 8, false, "text"},
    {"service_tier", kCP, kString, kUsed, 1, 32, false, "auto"},
    {"parse_special", kP | kT, kBool, kUsed, 0, 0, false, "true"},
    {"add_special_tokens", kT, kBool, kUsed, 0, 0, false, "true"},
    {"skip_special_tokens", kCP, kBool, kUsed, 0, 0, false, "true"},
    {"return_token_ids", kCP, kBool, kUsed, 0, 0, false, "false"},
    {"add_generation_prompt", kC | kT, kBool, kUsed, 0, 0, false, "true"},

    {"user", kCP, kString, kNoEffect, 0, 512},
    {"metadata", kCP, kObject, kNoEffect, 0, 16},
    {"safety_identifier", kCP, kString, kNoEffect, 0, 512},
    {"prompt_cache_key", kCP, kString, kNoEffect, 0, 512},
    {"prompt_cache_retention", kCP, kString, kNoEffect, 0, 512},

    {"store", kCP, kBool, kUnsupportedTrue},
    {"chat_template", kC | kT, kAny, kTemplateOverride},
    {"chat_template_kwargs", kC | kT, kAny, kTemplateOverride},
    {"suffix", kCP, kAny, kUnsupported},
    {"functions", kCP, kAny, kUnsupported},
    {"function_call", kCP, kAny, kUnsupported},
    {"audio", kCP, kAny, kUnsupported},
    {"prediction", kCP, kAny, kUnsupported},
    {"moderation", kCP, kAny, kUnsupported},
    {"web_search_options", kCP, kAny, kUnsupported},
    {"reasoning_effort", kCP, kAny, kUnsupported},
    {"verbosity", kCP, kAny, kUnsupported},
    // Other servers' fields that constrain the output: text without the constraint would be a wrong answer.
    {"guided_json", kCP, kAny, kUnsupported},
    {"guided_regex", kCP, kAny, kUnsupported},
    {"guided_choice", kCP, kAny, kUnsupported},
    {"guided_grammar", kCP, kAny, kUnsupported},
    {"guided_decoding_backend", kCP, kAny, kUnsupported},
    {"guided_whitespace_pattern", kCP, kAny, kUnsupported},
    {"structured_outputs", kCP, kAny, kUnsupported},
    {"grammar", kCP, kAny, kUnsupported},
    {"json_schema", kCP, kAny, kUnsupported},
    {"response_format", kP, kAny, kUnsupported},
};

using Index = std::unordered_map<std::string_view, std::vector<const Field*>>;

const Index& ByName() {
  static const Index index = [] {
    Index out;
    for (const Field& field : kFields) out[field.name].push_back(&field);
    return out;
  }();
  return index;
}

int EditDistance(std::string_view a, std::string_view b) {
  std::vector<int> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = static_cast<int>(j);
  for (size_t i = 1; i <= a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const int replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row.back();
}

}  // namespace

std::span<const Field> Fields() { return kFields; }

const Field* FindField(std::string_view name, Endpoint endpoint) {
  const auto found = ByName().find(name);
  if (found == ByName().end()) return nullptr;
  for (const Field* field : found->second) {
    if (field->endpoints & endpoint) return field;
  }
  return nullptr;
}

std::string_view NearestField(std::string_view name, Endpoint endpoint) {
  constexpr int kFarthest = 3;
  if (name.size() > 40) return "";
  std::string_view nearest;
  int least = kFarthest + 1;
  for (const Field& field : kFields) {
    if (!(field.endpoints & endpoint) || field.use != FieldUse::kUsed) continue;
    const int distance = EditDistance(name, field.name);
    if (distance < least && distance < static_cast<int>(name.size())) {
      least = distance;
      nearest = field.name;
    }
  }
  return nearest;
}

}  // namespace weir
