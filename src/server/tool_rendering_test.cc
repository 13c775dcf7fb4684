#include "server/tool_rendering.h"

#include <gtest/gtest.h>

#include <string>

#include "net/openai/request_parser.h"

namespace weir {
namespace {

constexpr const char* kCalls =
    R"("tool_calls":[{"id":"c1","type":"function","function":{"name":"add","arguments":"{\"a\":1}"}}])";

// The assistant's message of a conversation in which it called a tool; `content` is how it says its content.
ChatMessage Assistant(const std::string& content, bool template_knows_tools, const char* calls = kCalls) {
  const auto request = ParseChatRequest(R"({"model":"m","messages":[{"role":"user","content":"1 + 2?"},)"
                                        R"({"role":"assistant",)" +
                                        content + calls + R"(},{"role":"user","content":"so?"}]})");
  EXPECT_TRUE(request.has_value()) << request.error().message();
  return request.has_value() ? RenderTools(*request, template_knows_tools).messages.at(1) : ChatMessage();
}

TEST(ToolRenderingTest, ATemplateSeesTheContentOfACallAsTheClientSaidIt) {
  EXPECT_EQ(Assistant(R"("content":null,)", true).content_kind, ContentKind::kNone);
  EXPECT_EQ(Assistant("", true).content_kind, ContentKind::kMissing);
  const ChatMessage empty = Assistant(R"("content":"",)", true);
  EXPECT_EQ(empty.content_kind, ContentKind::kText);
  EXPECT_EQ(empty.content, "");
  EXPECT_FALSE(empty.tool_calls.is_null());
}

TEST(ToolRenderingTest, AnAnswerWithoutTextAndCallsIsAnEmptyText) {
  EXPECT_EQ(Assistant(R"("content":null)", true, "").content_kind, ContentKind::kText);
  EXPECT_EQ(Assistant(R"("content":null,)", true, R"("tool_calls":[])").content_kind, ContentKind::kText);
}

TEST(ToolRenderingTest, ATemplateThatKnowsNoToolsIsGivenTheCallInWords) {
  for (const char* content : {R"("content":null,)", ""}) {
    const ChatMessage message = Assistant(content, false);
    EXPECT_EQ(message.content_kind, ContentKind::kText);
    EXPECT_EQ(message.content, "<tool_call>\n{\"name\":\"add\",\"arguments\":{\"a\":1}}\n</tool_call>");
  }
}

}  // namespace
}  // namespace weir
