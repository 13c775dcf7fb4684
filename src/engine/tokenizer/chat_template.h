// Renders a conversation with the model's own Jinja template and encodes the result.
//
// Errors    Create: DATA_LOSS when the template does not parse (line and column). Render: INVALID_ARGUMENT
// with reason
//           "template_error" for a failure or an exhausted budget (steps, output, memory, depth)
// Threads   immutable after Create(); any thread
//
// Text that came from a client and text that the template wrote stay apart to the end, so a client that
// writes
// "<|im_end|>" gets those characters, never the special token.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "engine/tokenizer/template_data.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {

// What the template finds as a message's content: its text, none, or nothing under that name.
enum class ContentKind { kText, kNone, kMissing };

struct ChatMessage {
  std::string role;
  std::string content;
  std::string name{};          // may be empty
  std::string tool_call_id{};  // of a tool's answer; may be empty
  TemplateData tool_calls{};   // a list, or null
  ContentKind content_kind = ContentKind::kText;
};

// A piece of rendered text: written by the template (special tokens count), or data from the client (they do
// not).
struct RenderedPiece {
  std::string text;
  bool from_template = false;
};

class ChatTemplate {
 public:
  // `now`: seconds since 1970, what strftime_now tells; the system's clock if it is empty.
  static Result<std::unique_ptr<ChatTemplate>> Create(std::string_view source, const Tokenizer& tokenizer,
                                                      std::function<int64_t()> now = {});
  ~ChatTemplate();

  // Whether it does anything with tools.
  bool knows_tools() const;

  Result<std::vector<RenderedPiece>> Render(const std::vector<ChatMessage>& messages,
                                            bool add_generation_prompt, const TemplateData& tools = {}) const;
  Result<std::vector<TokenId>> RenderAndEncode(const std::vector<ChatMessage>& messages,
                                               bool add_generation_prompt,
                                               const TemplateData& tools = {}) const;

 private:
  struct State;
  explicit ChatTemplate(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace weir
