#include "server/tokenize_exchange.h"

#include <fmt/format.h>

#include <utility>
#include <vector>

#include "net/openai/request_parser.h"
#include "server/generation_plan.h"
#include "server/status_http.h"
#include "server/tool_rendering.h"

namespace weir {
std::shared_ptr<HttpExchange> TokenizeExchange::Start(ServerContext* context, bool encodes,
                                                      std::string request_id,
                                                      std::shared_ptr<ResponseWriter> writer) {
  std::shared_ptr<TokenizeExchange> exchange(
      new TokenizeExchange(context, encodes, std::move(request_id), std::move(writer)));
  const Status available = context->Availability();
  if (available.ok()) return exchange;
  exchange->Send(ToResponse(ToHttpError(available)));
  return nullptr;
}

void TokenizeExchange::OnBody(std::string body) {
  const Result<Json> answer = encodes_ ? Encode(body) : Decode(body);
  HttpResponse response;
  if (answer.has_value()) {
    response.body = DumpJson(*answer);
  } else {
    response = ToResponse(ToHttpError(answer.error()));
  }
  Send(std::move(response));
}

void TokenizeExchange::Send(HttpResponse response) {
  if (writer_ == nullptr) return;
  response.headers.push_back({"X-Request-Id", request_id_});
  const std::shared_ptr<ResponseWriter> writer = std::move(writer_);
  writer->Send(std::move(response));
}

Result<Json> TokenizeExchange::Encode(const std::string& body) const {
  WEIR_ASSIGN_OR_RETURN(const TokenizeRequest request, ParseTokenizeRequest(body));
  if (!request.model.empty()) WEIR_RETURN_IF_ERROR(context_->FindModel(request.model).status());
  const Engine& engine = *context_->engine.load(std::memory_order_acquire);
  const Tokenizer& tokenizer = engine.tokenizer();
  std::vector<TokenId> tokens;
  if (request.prompt) {
    WEIR_ASSIGN_OR_RETURN(
        tokens, tokenizer.Encode(*request.prompt,
                                 request.parse_special ? SpecialTokens::kParse : SpecialTokens::kAsText,
                                 request.add_special_tokens && tokenizer.add_bos_by_default()));
  } else {
    if (engine.chat_template() == nullptr) {
      return InvalidArgument("this model has no chat template; send a prompt")
          .WithReason("template_error")
          .WithParam("messages");
    }
    ChatRequest chat;
    chat.messages = request.messages;
    const RenderedTools rendered = RenderTools(chat, engine.chat_template()->knows_tools());
    WEIR_ASSIGN_OR_RETURN(
        tokens, engine.chat_template()->RenderAndEncode(rendered.messages, request.add_generation_prompt));
  }
  Json texts = Json::array();
  for (TokenId token : tokens) texts.push_back(std::string(tokenizer.TokenText(token)));
  return Json{{"count", tokens.size()},
              {"max_model_len", engine.max_model_len()},
              {"tokens", tokens},
              {"token_strs", std::move(texts)}};
}

Result<Json> TokenizeExchange::Decode(const std::string& body) const {
  WEIR_ASSIGN_OR_RETURN(const DetokenizeRequest request, ParseDetokenizeRequest(body));
  if (!request.model.empty()) WEIR_RETURN_IF_ERROR(context_->FindModel(request.model).status());
  const Tokenizer& tokenizer = context_->engine.load(std::memory_order_acquire)->tokenizer();
  std::vector<TokenId> tokens;
  for (size_t i = 0; i < request.tokens.size(); ++i) {
    if (request.tokens[i] >= tokenizer.vocab_size()) {
      const std::string where = fmt::format("tokens[{}]", i);
      return InvalidArgument(fmt::format("{} is {}, expected a token id from 0 to {}", where,
                                         request.tokens[i], tokenizer.vocab_size() - 1))
          .WithReason("invalid_value")
          .WithParam(where);
    }
    tokens.push_back(static_cast<TokenId>(request.tokens[i]));
  }
  return Json{{"prompt", tokenizer.Decode(tokens, false)}};
}

}  // namespace weir
