#include "server/choice.h"

#include <algorithm>
#include <utility>

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
      index_(index) {}

void Choice::AddEcho(const std::string& text, std::vector<int32_t> prompt) {
  text_ = text;
  text_bytes_ = static_cast<int64_t>(text.size());
  if (options_.with_token_ids) token_ids_ = prompt;
  echoed_prompt_ = std::move(prompt);
}

void Choice::AddLogprob(int32_t token, const TokenLogprobs* logprobs) {
  PendingLogprob pending;
  WireLogprob& out = pending.logprob;
  out.bytes = std::string(tokenizer_.TokenBytes(token, options_.skip_special));
  out.text_offset = text_offset_;
  out.has_logprob = logprobs != nullptr;
  if (logprobs != nullptr) {
    out.logprob = logprobs->chosen;
    bool has_chosen = false;
    for (const TokenLogprob& one : logprobs->top) {
      out.top.emplace_back(std::string(tokenizer_.TokenBytes(one.token, false)), one.logprob);
      has_chosen |= one.token == token;
    }
    // The older API lists the chosen token even when it is not among the likeliest.
    if (!options_.is_chat && !has_chosen && !logprobs->top.empty())
      out.top.emplace_back(out.bytes, logprobs->chosen);
  }
  pending.begin_byte = token_bytes_;
  token_bytes_ += static_cast<int64_t>(out.bytes.size());
  pending.end_byte = token_bytes_;
  text_offset_ += NumCharacters(out.bytes);
  logprobs_.push_back(std::move(pending));
}

void Choice::Take(const TokenEvent& event) {
  if (is_done()) return;
  if (event.prompt_logprobs != nullptr && options_.with_logprobs) {
    const std::vector<TokenLogprobs>& scores = *event.prompt_logprobs;
    for (size_t i = 0; i < echoed_prompt_.size() && i < scores.size(); ++i) {
      AddLogprob(echoed_prompt_[i], i == 0 ? nullptr : &scores[i]);
    }
  }
  if (event.token >= 0) {
    ++num_tokens_;
    if (options_.with_token_ids) token_ids_.push_back(event.token);
    if (!event.is_end_token) {
      if (options_.with_logprobs) AddLogprob(event.token, event.logprobs.get());
      const std::string text = detokenizer_.Add(event.token);
      text_bytes_ += static_cast<int64_t>(text.size());
      text_ += text;
    }
  }
  if (detokenizer_.stopped()) {
    finish_reason_ = "stop";
    std::erase_if(logprobs_, [&](const PendingLogprob& one) { return one.begin_byte >= text_bytes_; });
  } else if (event.finish != FinishReason::kNone) {
    const std::string text = detokenizer_.Finish();
    text_bytes_ += static_cast<int64_t>(text.size());
    text_ += text;
    finish_reason_ = std::string(FinishReasonName(event.finish));
  }
}

bool Choice::has_news() const {
  return !text_.empty() || !token_ids_.empty() || (is_done() && !finish_taken_);
}

WireChoice Choice::TakeNews() {
  WireChoice out;
  out.index = index_;
  out.text = std::exchange(text_, std::string());
  out.token_ids = std::exchange(token_ids_, {});
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
