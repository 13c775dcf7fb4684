// An OpenAI-compatible server that answers by a script with exact times: what a load test must then report is known.
//
// Owns      its listener; one io thread
// Threads   the script function runs on the io thread; logs may be read when nothing is in flight
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "net/http/server.h"

namespace weir {

// Times are ms after the request was read.
struct AnswerScript {
  enum class End { kDone, kNoDone, kAbort, kHang };
  struct Piece {
    double at_ms;
    std::string bytes;
  };
  int status = 200;  // not 200: `body` is sent at once
  std::vector<HttpHeader> headers;
  std::string body;
  double head_ms = 0;
  std::vector<Piece> pieces;
  End end = End::kDone;
  double end_ms = 0;
};

// A role-only chunk at `role_ms`, then `num_chunks` chunks of text from `first_ms` every `gap_ms`, then the usage chunk with
// `tokens` and [DONE].
AnswerScript StreamOf(double role_ms, double first_ms, double gap_ms, int num_chunks, int tokens);
// What its /tokenize counts: four letters of a word are a token.
int CountScriptedTokens(const std::string& text);
std::string ContentChunk(const std::string& text);
std::string FinishChunk(const std::string& reason);
std::string UsageChunk(int prompt_tokens, int completion_tokens);

class ScriptedServer final : public HttpHandler {
 public:
  // `script` gives the answer to the n-th completion request, from 0.
  explicit ScriptedServer(std::function<AnswerScript(int n)> script);
  ~ScriptedServer() override;

  std::string url() const;
  // Bodies and ids of completion requests, in order of arrival.
  std::vector<std::string> bodies() const;
  std::vector<std::string> ids() const;
  int most_in_flight() const;
  // For the script itself, which runs while the request is being counted.
  int in_flight_now() const { return in_flight_; }
  // When the pieces of every answer were really written, after its request was read: what a loaded machine makes of the
  // script. In order of arrival.
  struct Played {
    TimePoint read{};
    std::vector<TimePoint> written;
    TimePoint ended{};
  };
  std::vector<Played> played() const;
  // Serve /version and ledgers with `queue_slot` of that many ms for every request seen.
  void OfferLedgers(double queue_ms) { ledger_queue_ms_ = queue_ms; }

  std::shared_ptr<HttpExchange> OnHead(const HttpRequestHead& head, std::shared_ptr<ResponseWriter> writer,
                                       IoContext& io) override;
  std::string GateErrorBody(int status, std::string_view code, std::string_view message) override;

 private:
  friend class ScriptedExchange;
  AnswerScript Next(const std::string& id, std::string body, int* number);
  void Ended();
  Played& PlayedOf(int number) { return played_[static_cast<size_t>(number)]; }  // under mutex_

  std::function<AnswerScript(int)> script_;
  double ledger_queue_ms_ = -1;
  mutable std::mutex mutex_;
  std::vector<std::string> bodies_, ids_;
  std::vector<Played> played_;
  int in_flight_ = 0, most_in_flight_ = 0;
  std::unique_ptr<HttpServer> server_;
};

}  // namespace weir
