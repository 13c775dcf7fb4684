#include "server/choice.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

int NumCharacters(std::string_view bytes) {
  // Every byte but continuation bytes begins one, so parts of a character add up to it.
  return static_cast<int>(std::count_if(
      bytes.begin(), bytes.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Choice::Choice(const Tokenizer& tokenizer, ChoiceOptions options, int index)
    : tokenizer_(tokenizer),
      options_(std::move(options)),
      detokenizer_(tokenizer, options_.stop, options_.skip_special),
      index_(index),
      tool_parser_(options_.tool_call_delivery) {}

void Choice::AddEcho(const std::string& text, std::vector<int32_t> prompt) {
  text_ = text;
  text_bytes_ = static_cast<int64_t>(text.size());
  if (options_.with_token_ids) token_ids_ = prompt;
  echoed_prompt_ = std::move(prompt);
}

void Choice::AddLogprob(int32_t token, const TokenLogprobs* logprobs, bool has_text) {
  PendingLogprob pending;
  WireLogprob& out = pending.logprob;
  if (has_text) out.bytes = std::string(tokenizer_.TokenBytes(token, options_.skip_special));
  out.text_offset = text_offset_;
  out.has_logprob = logprobs != nullptr;
  if (logprobs != nullptr) {
    out.logprob = logprobs->chosen;
    bool has_chosen = false;
    const size_t num_top = std::min(logprobs->top.size(), static_cast<size_t>(options_.num_logprobs));
    for (const TokenLogprob& one : std::span(logprobs->top).first(num_top)) {
      out.top.emplace_back(std::string(tokenizer_.TokenBytes(one.token, false)), one.logprob);
      has_chosen |= one.token == token;
    }
    // The older API lists the chosen token even when it is not among the likeliest.
    if (!options_.is_chat && !has_chosen && num_top > 0) out.top.emplace_back(out.bytes, logprobs->chosen);
  }
  pending.begin_byte = token_bytes_;
  token_bytes_ += static_cast<int64_t>(out.bytes.size());
  pending.end_byte = token_bytes_;
  text_offset_ += NumCharacters(out.bytes);
  logprobs_.push_back(std::move(pending));
}

// As text at once: a value tree of some hundred thousand entries would take ten times the memory.
void Choice::WritePromptLogprobs(const std::vector<TokenLogprobs>& scores) {
  auto out = std::back_inserter(prompt_logprobs_);
  prompt_logprobs_ = "[null";
  const auto write = [&](const TokenLogprob& one, const std::string& rank) {
    fmt::format_to(out, "\"{}\":{{\"logprob\":{},\"rank\":{},\"decoded_token\":{}}}", one.token, one.logprob,
                   rank, DumpJson(Json(ReplaceInvalidUtf8(tokenizer_.TokenBytes(one.token, false)))));
  };
  for (size_t i = 1; i < prompt_.size() && i < scores.size(); ++i) {
    prompt_logprobs_ += ",{";
    const TokenLogprob chosen{prompt_[i], scores[i].chosen};
    std::string chosen_rank = "null";
    const size_t num_top = std::min(scores[i].top.size(), static_cast<size_t>(options_.num_prompt_logprobs));
    for (size_t k = 0; k < scores[i].top.size(); ++k) {
      if (scores[i].top[k].token == chosen.token) chosen_rank = fmt::format("{}", k + 1);
    }
    write(chosen, chosen_rank);
    for (size_t k = 0; k < num_top; ++k) {
      if (scores[i].top[k].token == chosen.token) continue;
      prompt_logprobs_ += ',';
      write(scores[i].top[k], fmt::format("{}", k + 1));
    }
    prompt_logprobs_ += '}';
  }
  prompt_logprobs_ += ']';
}

void Choice::AddText(std::string text) {
  text_bytes_ += static_cast<int64_t>(text.size());
  if (options_.finds_tool_calls) {
    tool_parser_.Add(text, &text_, &tool_calls_);
  } else {
    text_ += text;
  }
}

void Choice::Take(const TokenEvent& event) {
  if (is_done()) return;
  if (event.prompt_logprobs != nullptr && options_.num_prompt_logprobs >= 0)
    WritePromptLogprobs(*event.prompt_logprobs);
  if (event.prompt_logprobs != nullptr && options_.with_logprobs) {
    const std::vector<TokenLogprobs>& scores = *event.prompt_logprobs;
    for (size_t i = 0; i < echoed_prompt_.size() && i < scores.size(); ++i) {
      AddLogprob(echoed_prompt_[i], i == 0 ? nullptr : &scores[i]);
    }
  }
  if (event.token >= 0) {
    ++num_tokens_;
    if (options_.with_token_ids) token_ids_.push_back(event.token);
    // In the older API the end token has an entry too, so that there are as many as tokens: who scores a prompt with echo and
    // one token more drops the last entry. The chat API lists what the text consists of.
    if (options_.with_logprobs && (!event.is_end_token || !options_.is_chat))
      AddLogprob(event.token, event.logprobs.get(), !event.is_end_token);
    if (!event.is_end_token) AddText(detokenizer_.Add(event.token));
  }
  if (detokenizer_.stopped()) {
    finish_reason_ = "stop";
    std::erase_if(logprobs_, [&](const PendingLogprob& one) { return one.begin_byte >= text_bytes_; });
  } else if (event.finish != FinishReason::kNone) {
    AddText(detokenizer_.Finish());
    finish_reason_ = std::string(FinishReasonName(event.finish));
  }
  if (is_done() && options_.finds_tool_calls) {
    tool_parser_.Finish(&text_, &tool_calls_);
    if (tool_parser_.num_calls() > 0 && finish_reason_ == "stop") finish_reason_ = "tool_calls";
  }
}

bool Choice::has_news() const {
  return !text_.empty() || !tool_calls_.empty() || !token_ids_.empty() || (is_done() && !finish_taken_);
}

WireChoice Choice::TakeNews() {
  WireChoice out;
  out.index = index_;
  out.text = std::exchange(text_, std::string());
  out.tool_calls = std::exchange(tool_calls_, {});
  out.token_ids = std::exchange(token_ids_, {});
  out.prompt_logprobs = std::exchange(prompt_logprobs_, std::string());
  out.finish_reason = finish_reason_;
  finish_taken_ = is_done();
  // A token whose text is still held back waits with it: it may turn out to belong to a stop string.
  size_t num_ready = 0;
  while (num_ready < logprobs_.size() && (is_done() || logprobs_[num_ready].end_byte <= text_bytes_))
    ++num_ready;
  for (size_t i = 0; i < num_ready; ++i) out.logprobs.push_back(std::move(logprobs_[i].logprob));
  logprobs_.erase(logprobs_.begin(), logprobs_.begin() + static_cast<std::ptrdiff_t>(num_ready));
  return out;
}

}  // namespace weir
