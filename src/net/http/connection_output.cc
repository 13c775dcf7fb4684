// The sending half of Connection: output, timers and the end.
#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <exception>
#include <utility>

#include "base/log.h"
#include "net/http/connection.h"
#include "net/http/message_writer.h"

namespace weir {

namespace {

constexpr Duration kLingerTimeout = std::chrono::seconds(2);
constexpr size_t kKeptOutputBytes = 16 << 10;
constexpr uint64_t kMaxDiscardedBytes = 64 << 10;
constexpr uint64_t kMinBodyBytesPerSecond = 64 << 10;

}  // namespace

// Once a response has begun, its head says what becomes of the connection.
void Connection::DecideKeepAlive(bool close) {
  const bool body_in_the_way = !body_done_ && (expect_pending_ || parser_->body_left() > kMaxDiscardedBytes);
  keep_alive_ = keep_alive_ && !close && !owner_->closes_after_response() && !body_in_the_way;
}

void Connection::Send(HttpResponse response) {
  if (response_started_) return;
  DecideKeepAlive(response.close);
  if (response.status < 200 || response.status > 599) response.status = 500;
  ResponseFraming framing;
  framing.content_length = response.body.size();
  framing.close = !keep_alive_;
  framing.say_keep_alive = minor_version_ == 0;
  framing.with_body = !head_method_;
  AppendResponse(std::move(response), framing, owner_->io().Date(), output_);
  response_started_ = response_ended_ = true;
  ScheduleFlush();
}

void Connection::AnswerGateError(const GateError& error) {
  HttpResponse response;
  response.status = error.status;
  response.headers = error.headers;
  response.close = true;
  try {
    response.body = owner_->handler().GateErrorBody(error.status, error.code, error.message);
  } catch (const std::exception& thrown) {
    LogError("http: the error body could not be made: {}", thrown.what());
  }
  ++serial_;
  request_open_ = true;
  response_started_ = response_ended_ = streaming_ = aborted_ = false;
  exchange_.reset();
  input_.clear();
  body_ = std::string();
  deadline_ = TimePoint{};
  state_ = State::kResponding;
  Send(std::move(response));
}

void Connection::StartStream(HttpResponse head) {
  if (response_started_) return;
  chunked_output_ = minor_version_ == 1;
  DecideKeepAlive(head.close || !chunked_output_);
  head.status = 200;
  ResponseFraming framing;
  framing.chunked = chunked_output_;
  framing.close = !keep_alive_;
  framing.with_body = false;
  AppendResponse(std::move(head), framing, owner_->io().Date(), output_);
  response_started_ = streaming_ = true;
  ScheduleFlush();
}

void Connection::WriteChunk(std::string_view bytes) {
  if (!streaming_ || response_ended_ || head_method_ || bytes.empty()) return;
  if (chunked_output_) {
    AppendChunk(bytes, output_);
  } else {
    output_ += bytes;
  }
  // The bound holds inside one turn too, but only after the kernel had its chance.
  if (unsent_bytes() > owner_->options().max_unsent_bytes &&
      (!DrainOutput() || unsent_bytes() > owner_->options().max_unsent_bytes)) {
    PostDrop();
    return;
  }
  ScheduleFlush();
}

void Connection::EndStream() {
  if (!streaming_ || response_ended_) return;
  if (chunked_output_ && !head_method_) AppendLastChunk(output_);
  response_ended_ = true;
  ScheduleFlush();
}

void Connection::Abort() {
  ++serial_;
  aborted_ = true;
  keep_alive_ = false;
  // The caller may be the exchange itself: it is let go from the loop.
  boost::asio::post(owner_->io().context(), [released = std::move(exchange_)] {});
  exchange_.reset();
  const bool drained = DrainOutput() && unsent_bytes() == 0;
  // Without chunks an orderly end would look like the end of the body.
  if (!drained || !chunked_output_ || !streaming_) {
    Close(true);
    return;
  }
  state_ = State::kResponding;
  response_ended_ = true;
  ScheduleFlush();
}

void Connection::ScheduleFlush() {
  if (flush_scheduled_ || waiting_writable_) return;
  flush_scheduled_ = true;
  boost::asio::post(owner_->io().context(), [self = shared_from_this()] {
    self->flush_scheduled_ = false;
    self->Guarded([&] { self->Flush(); });
  });
}

bool Connection::DrainOutput() {
  const size_t before = output_sent_;
  boost::system::error_code error;
  while (output_sent_ < output_.size()) {
    const char* const rest = output_.data() + output_sent_;
    const size_t size = output_.size() - output_sent_;
    const size_t count = tls_ != nullptr ? WriteTls(rest, size, &error)
                                         : socket_.write_some(boost::asio::buffer(rest, size), error);
    if (error) break;
    output_sent_ += count;
  }
  if (error && error != boost::asio::error::would_block && error != boost::asio::error::try_again)
    return false;
  if (output_sent_ != before) {
    last_progress_ = MonotonicClock::Get().Now();
    if (output_sent_ == output_.size()) last_write_done_ = last_progress_;
  }
  if (output_sent_ == output_.size()) {
    output_.clear();
    output_sent_ = 0;
    blocked_ = false;
    if (output_.capacity() > kKeptOutputBytes) output_.shrink_to_fit();
  } else if (output_sent_ > output_.size() / 2) {
    output_.erase(0, output_sent_);
    output_sent_ = 0;
  }
  return true;
}

void Connection::Flush() {
  if (state_ == State::kClosed) return;
  if (!DrainOutput()) {
    Drop(true);
    return;
  }
  if (unsent_bytes() > 0) {
    if (streaming_ && unsent_bytes() > owner_->options().max_unsent_bytes) {
      Drop(true);
    } else {
      WaitWritable();
    }
    return;
  }
  if (request_open_ && response_ended_) FinishRequest();
}

void Connection::WaitWritable() {
  if (waiting_writable_) return;
  waiting_writable_ = true;
  if (!blocked_) {
    blocked_ = true;
    last_progress_ = MonotonicClock::Get().Now();
  }
  ArmTimer();
  socket_.async_wait(boost::asio::ip::tcp::socket::wait_write,
                     [self = shared_from_this()](const boost::system::error_code& error) {
                       self->waiting_writable_ = false;
                       if (!error) self->Guarded([&] { self->Flush(); });
                     });
}

void Connection::FinishRequest() {
  const auto self = shared_from_this();
  const std::shared_ptr<HttpExchange> exchange = std::move(exchange_);
  exchange_.reset();
  request_open_ = false;
  if (exchange) {
    try {
      exchange->OnResponseWritten();
    } catch (const std::exception& thrown) {
      LogError("http: the request handler threw after the response: {}", thrown.what());
    }
  }
  if (!keep_alive_ || owner_->closes_after_response() || (!body_done_ && state_ != State::kDiscard)) {
    Linger();
  } else if (state_ != State::kDiscard) {
    BecomeIdle();
    Process();
  }
}

void Connection::BecomeIdle() {
  state_ = State::kIdle;
  SetDeadline(MonotonicClock::Get().Now() + owner_->options().keep_alive_timeout);
  if (owner_->OnIdle(*this) && input_.empty()) Close(false);
}

// A close with unread input would reset the connection and take the answer with it.
void Connection::Linger() {
  state_ = State::kLingering;
  input_.clear();
  discarded_ = 0;
  if (read_ended_) {
    Close(false);
    return;
  }
  if (tls_ != nullptr) tls_->SendEnd();
  boost::system::error_code ignored;
  socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
  SetDeadline(MonotonicClock::Get().Now() + kLingerTimeout);
}

void Connection::Drop(bool reset) {
  if (state_ == State::kClosed) return;
  const auto self = shared_from_this();
  const std::shared_ptr<HttpExchange> exchange = std::move(exchange_);
  exchange_.reset();
  Close(reset);
  if (!exchange) return;
  try {
    exchange->OnDisconnect();
  } catch (const std::exception& thrown) {
    LogError("http: the request handler threw on a disconnect: {}", thrown.what());
  }
}

// For calls from a handler, which must not be called back from inside its own call.
void Connection::PostDrop() {
  ++serial_;
  boost::asio::post(owner_->io().context(), [self = shared_from_this()] { self->Drop(true); });
}

void Connection::Close(bool reset) {
  if (state_ == State::kClosed) return;
  state_ = State::kClosed;
  request_open_ = false;
  timer_.reset();
  boost::system::error_code ignored;
  if (reset) socket_.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket_.close(ignored);
  owner_->OnClosed(*this);
}

// Out of memory, say: this connection ends, the others go on.
void Connection::Guarded(const std::function<void()>& work) {
  try {
    work();
  } catch (const std::exception& error) {
    LogError("http: a connection failed: {}", error.what());
    Drop(true);
  }
}

void Connection::SetDeadline(TimePoint when) {
  deadline_ = when;
  ArmTimer();
}

void Connection::SetBodyDeadline() {
  const Duration idle = owner_->options().body_idle_timeout;
  const uint64_t size = parser_->body_bytes() + parser_->body_left();
  const Duration in_all = idle + FromSeconds(static_cast<double>(size) / kMinBodyBytesPerSecond);
  SetDeadline(std::min(MonotonicClock::Get().Now() + idle, body_begin_ + in_all));
}

// A timer that fires too early is re-armed then; only an earlier deadline needs a new one.
void Connection::ArmTimer() {
  if (state_ == State::kClosed) return;
  TimePoint next = deadline_;
  if (waiting_writable_) {
    const TimePoint stalled = last_progress_ + owner_->options().write_stall_timeout;
    next = next == TimePoint{} ? stalled : std::min(next, stalled);
  }
  if (next == TimePoint{} || (timer_ && timer_at_ <= next)) return;
  timer_ = std::make_shared<TimerQueue::Entry>();
  timer_->function = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->Guarded([&] { self->OnTimer(); });
  };
  timer_at_ = next;
  owner_->io().timers().Add(next, timer_);
}

void Connection::OnTimer() {
  timer_.reset();
  const TimePoint now = MonotonicClock::Get().Now();
  if (waiting_writable_ && now >= last_progress_ + owner_->options().write_stall_timeout) {
    Drop(true);
    return;
  }
  if (deadline_ != TimePoint{} && now >= deadline_) {
    deadline_ = TimePoint{};
    OnDeadline();
  }
  ArmTimer();
}

void Connection::OnDeadline() {
  switch (state_) {
    case State::kHead:
      AnswerGateError({408, "request_timeout", "the request head did not arrive in time", {}});
      return;
    case State::kBody:
      FailBody({408, "request_timeout", "the request body did not arrive in time", {}});
      return;
    case State::kDiscard:
      keep_alive_ = false;
      state_ = State::kResponding;
      if (!request_open_) Linger();
      return;
    case State::kHandshake:
    case State::kIdle:
    case State::kLingering:
      Close(false);
      return;
    case State::kResponding:
    case State::kClosed:
      return;
  }
}

}  // namespace weir
