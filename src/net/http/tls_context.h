// The certificate and key that a listener speaks TLS with, and the rules by which it does: TLS 1.2 with ECDHE and an AEAD
// cipher or TLS 1.3, HTTP/1.1, no renegotiation, no compression, no session kept on the server.
//
// Owns      the OpenSSL context
// Errors    Load: as ReadSecretFile() for the key; INVALID_ARGUMENT naming the file for what is no certificate, no key,
//           a key with a pass phrase, or a key of another certificate
// Threads   immutable after Load(); connections of any thread share it
#pragma once

#include <memory>
#include <string>

#include "base/result.h"

struct ssl_ctx_st;

namespace weir {

class TlsContext {
 public:
  // PEM files: the certificate followed by its chain, and its key.
  static Result<std::shared_ptr<const TlsContext>> Load(const std::string& cert_path,
                                                        const std::string& key_path);
  ~TlsContext();
  TlsContext(const TlsContext&) = delete;
  TlsContext& operator=(const TlsContext&) = delete;

  ssl_ctx_st* get() const { return context_; }

 private:
  explicit TlsContext(ssl_ctx_st* context) : context_(context) {}
  ssl_ctx_st* context_;
};

}  // namespace weir
