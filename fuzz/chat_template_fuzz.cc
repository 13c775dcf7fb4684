// Chat templates: parsing, and rendering of one conversation with a call, an answer and tools.
#include <memory>
#include <string_view>

#include "engine/tokenizer/chat_template.h"
#include "engine/tokenizer/tiny_vocabulary.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<weir::Tokenizer> tokenizer =
      std::move(*weir::Tokenizer::Create(weir::TinyVocabulary("smollm")));
  const auto made = weir::ChatTemplate::Create(std::string_view(reinterpret_cast<const char*>(data), size),
                                               *tokenizer, [] { return int64_t{0}; });
  if (!made.has_value()) return 0;
  const weir::TemplateData function{
      weir::TemplateObject{{"name", {std::string("f")}},
                           {"arguments", {weir::TemplateObject{{"a", {int64_t{1}}}, {"b", {1.5}}}}}}};
  const weir::TemplateData call{weir::TemplateObject{{"id", {std::string("1")}}, {"function", function}}};
  const weir::TemplateData tools{weir::TemplateList{function, {true}, {}}};
  const std::vector<weir::ChatMessage> messages = {
      {"system", " be brief\n", "", "", {}},
      {"user", "\xC3\x9F \xE4\xB8\xAD <|im_end|>", "Ada", "", {}},
      {"assistant", "", "", "", {weir::TemplateList{call}}},
      {"tool", "42", "", "1", {}}};
  (void)(*made)->RenderAndEncode(messages, true, tools);
  return 0;
}
