#include "net/http/tls_stream.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <utility>

#include "base/check.h"

namespace weir {
namespace {

// OpenSSL's own socket writes would raise SIGPIPE in a process that has not turned it off.
struct SocketBio {
  static int Fd(BIO* bio) { return static_cast<int>(reinterpret_cast<intptr_t>(BIO_get_data(bio))); }

  static int Read(BIO* bio, char* buffer, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t count = recv(Fd(bio), buffer, static_cast<size_t>(size), 0);
    if (count == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_read(bio);
    return static_cast<int>(count);
  }
  static int Write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    const ssize_t count = send(Fd(bio), data, static_cast<size_t>(size), MSG_NOSIGNAL);
    if (count < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) BIO_set_retry_write(bio);
    return static_cast<int>(count);
  }
  static long Control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    return 0;
  }
  static const BIO_METHOD* Method() {
    static BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "weir socket");
      CHECK(made != nullptr && BIO_meth_set_read(made, Read) == 1 && BIO_meth_set_write(made, Write) == 1 &&
            BIO_meth_set_ctrl(made, Control) == 1);
      return made;
    }();
    return method;
  }
};

}  // namespace

TlsStream::TlsStream(std::shared_ptr<const TlsContext> context, int fd)
    : context_(std::move(context)), session_(SSL_new(context_->get())) {
  BIO* bio = BIO_new(SocketBio::Method());
  if (session_ == nullptr || bio == nullptr) {
    BIO_free(bio);
    failed_ = true;
    return;
  }
  BIO_set_data(bio, reinterpret_cast<void*>(static_cast<intptr_t>(fd)));
  BIO_set_init(bio, 1);
  SSL_set_bio(session_, bio, bio);
  SSL_set_accept_state(session_);
}

TlsStream::~TlsStream() { SSL_free(session_); }

TlsStream::Outcome TlsStream::OutcomeOf(int result) {
  switch (SSL_get_error(session_, result)) {
    case SSL_ERROR_NONE:
      return Outcome::kDone;
    case SSL_ERROR_WANT_READ:
      return Outcome::kWaitReadable;
    case SSL_ERROR_WANT_WRITE:
      return Outcome::kWaitWritable;
    case SSL_ERROR_ZERO_RETURN:
      return Outcome::kEnded;
    default:
      failed_ = true;  // after such an error not even an end may be sent
      return Outcome::kFailed;
  }
}

TlsStream::Outcome TlsStream::Handshake() {
  if (failed_) return Outcome::kFailed;
  ERR_clear_error();
  return OutcomeOf(SSL_do_handshake(session_));
}

TlsStream::Outcome TlsStream::Read(char* buffer, size_t size, size_t* count) {
  *count = 0;
  if (failed_) return Outcome::kFailed;
  ERR_clear_error();
  return OutcomeOf(SSL_read_ex(session_, buffer, size, count));
}

TlsStream::Outcome TlsStream::Write(const char* data, size_t size, size_t* count) {
  *count = 0;
  if (failed_) return Outcome::kFailed;
  ERR_clear_error();
  return OutcomeOf(SSL_write_ex(session_, data, size, count));
}

bool TlsStream::HasPending() const { return !failed_ && SSL_pending(session_) > 0; }

void TlsStream::SendEnd() {
  if (failed_ || SSL_in_init(session_)) return;
  ERR_clear_error();
  SSL_shutdown(session_);
  ERR_clear_error();
}

}  // namespace weir
