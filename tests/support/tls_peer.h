// For tests of TLS: certificates made on the spot, and a blocking client that says exactly which TLS it speaks.
#pragma once

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/loopback_fixture.h"
#include "tests/support/temp_file.h"

namespace weir {

// A key and its self-signed certificate as files.
class TestCertificate {
 public:
  explicit TestCertificate(const std::string& name) {
    EVP_PKEY* key = EVP_EC_gen("P-256");
    X509* certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_NAME* subject = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
    X509_set_issuer_name(certificate, subject);
    X509_set_pubkey(certificate, key);
    X509_sign(certificate, key, EVP_sha256());
    cert_.Rewrite(Pem([&](BIO* out) { PEM_write_bio_X509(out, certificate); }));
    key_.Rewrite(
        Pem([&](BIO* out) { PEM_write_bio_PrivateKey(out, key, nullptr, nullptr, 0, nullptr, nullptr); }));
    locked_key_.Rewrite(Pem([&](BIO* out) {
      PEM_write_bio_PrivateKey(out, key, EVP_aes_256_cbc(), reinterpret_cast<const unsigned char*>("pass"), 4,
                               nullptr, nullptr);
    }));
    X509_free(certificate);
    EVP_PKEY_free(key);
    for (const TempFile* file : {&key_, &locked_key_}) chmod(file->path().c_str(), 0600);
  }

  const std::string& cert() const { return cert_.path(); }
  const std::string& key() const { return key_.path(); }
  const std::string& locked_key() const { return locked_key_.path(); }  // with a pass phrase

 private:
  static std::string Pem(const std::function<void(BIO*)>& write) {
    BIO* out = BIO_new(BIO_s_mem());
    write(out);
    char* data = nullptr;
    const long size = BIO_get_mem_data(out, &data);
    std::string text(data, static_cast<size_t>(size));
    BIO_free(out);
    return text;
  }

  TempFile cert_{"", ".pem"}, key_{"", ".pem"}, locked_key_{"", ".pem"};
};

class TlsPeer {
 public:
  struct Options {
    int version = 0;               // TLS1_2_VERSION, say; 0: any
    std::string ciphers{};         // of TLS 1.2
    std::string_view protocols{};  // in the form of ALPN, lengths included
  };

  explicit TlsPeer(int port) : TlsPeer(port, Options{}) {}
  TlsPeer(int port, const Options& options) : socket_(port), context_(SSL_CTX_new(TLS_client_method())) {
    ERR_clear_error();
    SSL_CTX_set_security_level(context_, 0);  // so that what is refused is refused by the server
    SSL_CTX_set_min_proto_version(context_, options.version);
    SSL_CTX_set_max_proto_version(context_, options.version);
    SSL_CTX_set_options(context_, SSL_OP_IGNORE_UNEXPECTED_EOF);
    if (!options.ciphers.empty()) SSL_CTX_set_cipher_list(context_, options.ciphers.c_str());
    session_ = SSL_new(context_);
    if (!options.protocols.empty()) {
      SSL_set_alpn_protos(session_, reinterpret_cast<const unsigned char*>(options.protocols.data()),
                          static_cast<unsigned>(options.protocols.size()));
    }
    const timeval patience{20, 0};
    setsockopt(socket_.fd(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    SSL_set_fd(session_, socket_.fd());
    connected_ = SSL_connect(session_) == 1;
  }
  ~TlsPeer() {
    SSL_free(session_);
    SSL_CTX_free(context_);
  }
  TlsPeer(const TlsPeer&) = delete;
  TlsPeer& operator=(const TlsPeer&) = delete;

  bool connected() const { return connected_; }
  std::string version() const { return SSL_get_version(session_); }
  std::string protocol() const {
    const unsigned char* data = nullptr;
    unsigned size = 0;
    SSL_get0_alpn_selected(session_, &data, &size);
    return std::string(reinterpret_cast<const char*>(data), size);
  }
  std::string certificate_name() const {
    X509* certificate = SSL_get1_peer_certificate(session_);
    char name[256] = "";
    if (certificate != nullptr)
      X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name, sizeof name);
    X509_free(certificate);
    return name;
  }
  bool Send(std::string_view bytes) {
    while (!bytes.empty()) {
      const int count = SSL_write(session_, bytes.data(), static_cast<int>(bytes.size()));
      if (count <= 0) return false;
      bytes.remove_prefix(static_cast<size_t>(count));
    }
    return true;
  }
  // Until the server closes, or `wanted` was seen.
  std::string Receive(std::string_view wanted = {}) {
    std::string got;
    char buffer[16384];
    while (wanted.empty() || got.find(wanted) == std::string::npos) {
      const int count = SSL_read(session_, buffer, sizeof buffer);
      if (count <= 0) {
        ended_in_order_ = SSL_get_error(session_, count) == SSL_ERROR_ZERO_RETURN;
        break;
      }
      got.append(buffer, static_cast<size_t>(count));
    }
    return got;
  }
  bool ended_in_order() const { return ended_in_order_; }
  // Asks for a second handshake inside the session; true when the server agreed.
  bool Renegotiates() {
    ERR_clear_error();
    SSL_renegotiate(session_);
    return SSL_do_handshake(session_) == 1;
  }

 private:
  RawSocket socket_;
  SSL_CTX* context_;
  SSL* session_ = nullptr;
  bool connected_ = false;
  bool ended_in_order_ = false;
};

}  // namespace weir
