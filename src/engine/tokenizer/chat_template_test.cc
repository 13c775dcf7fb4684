#include "engine/tokenizer/chat_template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "base/utf8.h"
#include "engine/tokenizer/tiny_vocabulary.h"

namespace weir {
namespace {

using testing::HasSubstr;

constexpr const char* kGolden = WEIR_SOURCE_DIR "/tests/golden/chat_template/";
constexpr const char* kError = "!error";
constexpr int64_t kNow = 1721995200;  // 26 July 2024, 12:00 UTC

std::string Unescape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    const char c = text[++i];
    out.push_back(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c);
  }
  return out;
}

std::vector<std::vector<std::string>> ReadTable(const std::string& name) {
  std::vector<std::vector<std::string>> rows;
  std::ifstream file(kGolden + name);
  for (std::string line; std::getline(file, line);) {
    // A trailing tab means a last field that is empty, which getline would not report.
    line.push_back('\t');
    std::vector<std::string> fields;
    std::istringstream in(line);
    for (std::string field; std::getline(in, field, '\t');) fields.push_back(Unescape(field));
    rows.push_back(std::move(fields));
  }
  return rows;
}

std::string ReadText(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

class ChatTemplateTest : public testing::Test {
 protected:
  // Bos is <|im_start|> and eos <|im_end|>, as in the goldens.
  std::string Render(const std::string& source, const std::vector<ChatMessage>& messages, bool prompt) {
    const Result<std::unique_ptr<ChatTemplate>> made =
        ChatTemplate::Create(source, *tokenizer_, [] { return kNow; });
    if (!made.has_value()) {
      message_ = made.error().message();
      return kError;
    }
    const Result<std::vector<RenderedPiece>> pieces = (*made)->Render(messages, prompt);
    if (!pieces.has_value()) {
      message_ = pieces.error().message();
      EXPECT_EQ(pieces.error().code(), StatusCode::kInvalidArgument);
      EXPECT_EQ(pieces.error().reason(), "template_error");
      return kError;
    }
    std::string text;
    for (const RenderedPiece& piece : *pieces) text += piece.text;
    return text;
  }

  std::unique_ptr<Tokenizer> tokenizer_ =
      std::move(*Tokenizer::Create(TinyVocabulary("smollm", {{"\n", "\n"}})));
  std::string message_;
};

TEST_F(ChatTemplateTest, RendersConversationsLikeJinja) {
  int num_cases = 0;
  for (const std::vector<std::string>& fields : ReadTable("conversations.tsv")) {
    ASSERT_GE(fields.size(), 5u);
    std::vector<ChatMessage> messages;
    for (size_t i = 3; i + 1 < fields.size(); i += 2) messages.push_back({fields[i], fields[i + 1], ""});
    const std::string source = ReadText(kGolden + ("templates/" + fields[0]));
    EXPECT_EQ(Render(source, messages, fields[1] == "1"), fields[2]) << fields[0] << ": " << message_;
    ++num_cases;
  }
  EXPECT_GE(num_cases, 150);
}

TEST_F(ChatTemplateTest, RendersSnippetsLikeJinja) {
  const std::vector<ChatMessage> messages = {{"user", "Hello <b>", ""}, {"assistant", "Ünï 'q' \"d\"", ""}};
  int num_cases = 0;
  for (const std::vector<std::string>& fields : ReadTable("snippets.tsv")) {
    ASSERT_EQ(fields.size(), 2u);
    message_.clear();
    EXPECT_EQ(Render(fields[0], messages, true), fields[1]) << fields[0] << ": " << message_;
    ++num_cases;
  }
  EXPECT_GE(num_cases, 90);
}

TEST_F(ChatTemplateTest, SyntaxErrorNamesLineAndColumn) {
  const Result<std::unique_ptr<ChatTemplate>> made =
      ChatTemplate::Create("line one\n  {{ 1 + }}", *tokenizer_);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().code(), StatusCode::kDataLoss);
  EXPECT_THAT(made.error().message(), HasSubstr("line 2, column 10: found \"}}\", expected a value"));
}

TEST_F(ChatTemplateTest, RenderErrorNamesTheLine) {
  EXPECT_EQ(Render("a\nb {{ messages[0].x.y }}", {{"user", "hi", ""}}, false), kError);
  EXPECT_EQ(message_, "chat template, line 2: \"x\" is undefined");
}

TEST_F(ChatTemplateTest, ContentMayBeNoneOrMissing) {
  const std::string source =
      "{% for m in messages %}{{ m.content is none }}{{ m.content is defined }} {% endfor %}";
  ChatMessage none{"assistant", "unread"};
  none.content_kind = ContentKind::kNone;
  ChatMessage missing{"assistant", "unread"};
  missing.content_kind = ContentKind::kMissing;
  EXPECT_EQ(Render(source, {{"user", "text"}, none, missing}, false), "FalseTrue TrueTrue FalseFalse ");
  EXPECT_EQ(Render("{{ messages[0].content + '.' }}", {none}, false), kError);
  EXPECT_THAT(message_, HasSubstr("\"+\" does not work on none and a string"));
}

TEST_F(ChatTemplateTest, RaiseExceptionCarriesTheTemplatesWords) {
  EXPECT_EQ(Render("{{ raise_exception('roles must alternate') }}", {{"user", "hi", ""}}, false), kError);
  EXPECT_THAT(message_, HasSubstr("roles must alternate"));
}

TEST_F(ChatTemplateTest, EncodingSpansThePartsOfTheText) {
  // The line break of the template merges with the first of the message, as in one text.
  const auto made =
      std::move(*ChatTemplate::Create("<|im_start|>{{ '\\n' + messages[0].content }}", *tokenizer_));
  const Result<std::vector<TokenId>> ids = made->RenderAndEncode({{"user", "\n\nx", ""}}, false);
  ASSERT_TRUE(ids.has_value());
  EXPECT_THAT(*ids, testing::ElementsAre(257, 256, '\n', 'x'));
}

TEST_F(ChatTemplateTest, KnownRolesMayFormSpecialTokens) {
  TokenizerParts parts = TinyVocabulary("smollm");
  parts.tokens.push_back("<|user|>");
  parts.types.push_back(TokenType::kControl);
  const auto tokenizer = std::move(*Tokenizer::Create(std::move(parts)));
  const auto made = std::move(*ChatTemplate::Create("{{ '<|' + messages[0].role + '|>' }}", *tokenizer));
  EXPECT_THAT(*made->RenderAndEncode({{"user", "x", ""}}, false), testing::ElementsAre(259));
}

}  // namespace
}  // namespace weir
