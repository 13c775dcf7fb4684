// The TLS of one connection on a non-blocking socket: bytes in and out, and what to wait for when there are none.
//
// Requires  the descriptor is non-blocking and outlives the stream
// Owns      the OpenSSL session; a part of the context
// Errors    as an Outcome; why a peer's TLS is bad is of no use to it
// Threads   its connection's io thread
#pragma once

#include <cstddef>
#include <memory>

#include "net/http/tls_context.h"

struct ssl_st;

namespace weir {

class TlsStream {
 public:
  enum class Outcome {
    kDone,
    kWaitReadable,
    kWaitWritable,
    kEnded,   // the peer has said that it sends no more
    kFailed,  // nothing can be sent or received any more
  };

  TlsStream(std::shared_ptr<const TlsContext> context, int fd);
  ~TlsStream();
  TlsStream(const TlsStream&) = delete;
  TlsStream& operator=(const TlsStream&) = delete;

  Outcome Handshake();
  Outcome Read(char* buffer, size_t size, size_t* count);
  // After kWaitWritable the next call must begin with the same bytes; there may be more of them.
  Outcome Write(const char* data, size_t size, size_t* count);
  // Bytes that were decrypted already: the socket will not announce them again.
  bool HasPending() const;
  // Tells the peer that nothing follows, if that can be done at once.
  void SendEnd();

 private:
  Outcome OutcomeOf(int result);

  std::shared_ptr<const TlsContext> context_;
  ssl_st* session_;
  bool failed_ = false;
};

}  // namespace weir
