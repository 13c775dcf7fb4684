#include "net/http/tls_context.h"

#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include <string_view>

#include "base/file.h"

namespace weir {
namespace {

constexpr uint64_t kMaxPemBytes = 1 << 20;

// And forgets the rest of the queue, so that the next failure is not told with this reason.
std::string LastReason() {
  const unsigned long code = ERR_peek_last_error();
  const char* reason = ERR_reason_error_string(code);
  ERR_clear_error();
  return reason != nullptr ? reason : "unknown reason";
}

Status NoTls(const std::string& what) { return InvalidArgument(fmt::format("{}: {}", what, LastReason())); }

// A server does not ask its terminal.
int NoPassPhrase(char*, int, int, void*) { return 0; }

int ChooseProtocol(SSL*, const unsigned char** chosen, unsigned char* chosen_size,
                   const unsigned char* offered, unsigned int offered_size, void*) {
  static constexpr unsigned char kOurs[] = "\x08http/1.1";
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, chosen_size, kOurs, sizeof kOurs - 1, offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED)
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

bool SetRules(SSL_CTX* context) {
  SSL_CTX_set_options(context, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                   SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_IGNORE_UNEXPECTED_EOF);
  // An end without close_notify is told by HTTP's own framing, so it need not be an error here.
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  // A part of what is to be written may go out, from a buffer that may have moved since; idle connections hold no buffers.
  SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_alpn_select_cb(context, ChooseProtocol, nullptr);
  SSL_CTX_set_default_passwd_cb(context, NoPassPhrase);
  return SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION) == 1 &&
         SSL_CTX_set_cipher_list(context, "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL") == 1;
}

Status UseKey(SSL_CTX* context, const std::string& path) {
  WEIR_ASSIGN_OR_RETURN(std::string pem, ReadSecretFile(path, kMaxPemBytes));
  BIO* bio = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, NoPassPhrase, nullptr);
  BIO_free(bio);
  OPENSSL_cleanse(pem.data(), pem.size());
  if (key == nullptr)
    return NoTls(fmt::format("--tls-key {} holds no private key without a pass phrase in PEM form", path))
        .WithParam("--tls-key");
  const bool ok = SSL_CTX_use_PrivateKey(context, key) == 1 && SSL_CTX_check_private_key(context) == 1;
  EVP_PKEY_free(key);
  if (ok) return OkStatus();
  return NoTls(fmt::format("--tls-key {} is not the key of the certificate", path)).WithParam("--tls-key");
}

}  // namespace

Result<std::shared_ptr<const TlsContext>> TlsContext::Load(const std::string& cert_path,
                                                           const std::string& key_path) {
  ERR_clear_error();
  SSL_CTX* raw = SSL_CTX_new(TLS_server_method());
  if (raw == nullptr) return Internal(fmt::format("OpenSSL gives no context: {}", LastReason()));
  std::shared_ptr<const TlsContext> context(new TlsContext(raw));
  if (!SetRules(raw)) return Internal(fmt::format("OpenSSL does not take the rules: {}", LastReason()));
  WEIR_RETURN_IF_ERROR(ReadFile(cert_path, kMaxPemBytes).status());  // for the clearer message
  if (SSL_CTX_use_certificate_chain_file(raw, cert_path.c_str()) != 1)
    return NoTls(fmt::format("--tls-cert {} holds no certificate in PEM form", cert_path))
        .WithParam("--tls-cert");
  WEIR_RETURN_IF_ERROR(UseKey(raw, key_path));
  return context;
}

TlsContext::~TlsContext() { SSL_CTX_free(context_); }

}  // namespace weir
