// One POST to /v1/chat/completions or /v1/completions, from its head to its closed ledger.
//
// Requires  created when the head is complete; the engine outlives it
// Owns      the reservation from the body's end until it is submitted, then the reader's end of every sequence
// Errors    answered in the API's form; after the head of a stream went out, as an error event
// Threads   one io thread
//
// It closes once, when the response is written or the client has left, and every sequence has had its final event.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "net/http/server.h"
#include "server/caller.h"
#include "server/choice.h"
#include "server/deadline_headers.h"
#include "server/generation_plan.h"
#include "server/server_context.h"
#include "server/service_class.h"
#include "server/status_http.h"

namespace weir {

class GenerationExchange final : public HttpExchange,
                                 public std::enable_shared_from_this<GenerationExchange> {
 public:
  // Asks for a place by the body's announced length, and again when the body has come. Null: refused, and answered already.
  static std::shared_ptr<HttpExchange> Start(ServerContext* context, const HttpRequestHead& head,
                                             bool is_chat, Caller caller, std::string request_id,
                                             std::shared_ptr<ResponseWriter> writer, IoContext& io);
  ~GenerationExchange() override;

  void OnBody(std::string body) override;
  void OnDisconnect() override;
  void OnResponseWritten() override;

 private:
  struct Sequence {
    std::unique_ptr<Choice> choice;
    std::shared_ptr<RequestStream> stream;  // null: had its final event
    TimePoint last_token{};
    int num_tokens = 0;      // computed, wanted or not
    bool has_chunk = false;  // the first one names the role
    int num_held = 0;        // tokens that wait for others to share an event with
  };

  GenerationExchange(ServerContext* context, const HttpRequestHead& head, bool is_chat, Caller caller,
                     std::string request_id, std::shared_ptr<ResponseWriter> writer, IoContext& io);
  Status Reserve(const HttpRequestHead& head, Duration* retry_after);
  Status TakePlace(std::optional<uint64_t> body_bytes, Duration* retry_after);

  // generation_submit.cc
  Status Parse(const std::string& body);
  void TakeFields(const GenerationFields& fields);
  Status CheckFields(const GenerationFields& fields) const;
  // Of a planned prompt, what need not be computed.
  int64_t NumCachedTokens(const PlannedPrompt& prompt) const;
  // Compiles the constraint elsewhere, then submits.
  void Constrain();
  Status Submit(Duration* retry_after);
  void SetDeadlines(Request* request) const;
  void PredictTtft();

  // generation_answer.cc
  void OnNews(size_t index);
  void TakeEvents(Sequence* sequence, std::string* out);
  void AppendChunks(Sequence* sequence, std::string* out);
  void StartStream();
  void WriteStream(std::string bytes);
  void Finish();
  void SendBody();
  void EndStream();
  void Fail(const Status& status, Duration retry_after);
  Duration RetryAfter(const Status& error) const;
  void CancelAll();
  void KeepAlive();
  UsageCounts Usage() const;
  void TakeLedger(Sequence* sequence);
  std::vector<HttpHeader> Headers(const Ledger& ledger) const;
  void CloseIfOver();
  void Close();

  ServerContext* context_;
  Engine* engine_;
  std::shared_ptr<ResponseWriter> writer_;
  IoContext& io_;
  Caller caller_;
  ClosedRequest record_;  // its ledger is this request's own until Submit(), and again after the final event
  ClientDeadlines deadlines_;
  Applicant applicant_;
  Reservation reservation_;
  bool is_chat_;
  bool wants_ledger_ = false;
  bool include_usage_ = false;
  bool continuous_usage_ = false;
  ChoiceOptions choice_options_;
  std::optional<GenerationPlan> plan_;
  std::optional<ResponseJson> json_;
  OutputConstraint constraint_;
  std::shared_ptr<void> compiling_;  // while a grammar is
  std::vector<Sequence> sequences_;
  int num_open_ = 0;       // sequences without a final event
  bool answered_ = false;  // the last byte of the response was given to the writer
  bool written_ = false;
  bool client_left_ = false;
  bool closed_ = false;
  Ledger until_submit_;  // what may be told while the engine writes the ledger
  TimePoint last_write_{};
  std::shared_ptr<void> keep_alive_timer_;
};

}  // namespace weir
