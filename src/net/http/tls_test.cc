// The server's TLS, against a client that says exactly what it speaks.
#include <gmock/gmock.h>
#include <signal.h>

#include "net/http/tls_context.h"
#include "tests/support/loopback_fixture.h"
#include "tests/support/tls_peer.h"

namespace weir {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr char kHello[] = "GET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";

class TlsTest : public LoopbackFixture {
 protected:
  TlsTest() { signal(SIGPIPE, SIG_IGN); }  // the client's OpenSSL writes with it
  static std::shared_ptr<const TlsContext> Load(const TestCertificate& certificate) {
    auto context = TlsContext::Load(certificate.cert(), certificate.key());
    EXPECT_TRUE(context.has_value()) << context.error().message();
    return *context;
  }
  void ListenTls(HttpServerOptions options = {}) {
    options.tls = Load(first_);
    Listen(std::move(options));
  }
  void ExpectServesTls() {
    TlsPeer peer(server_->port());
    ASSERT_TRUE(peer.connected());
    peer.Send(kHello);
    EXPECT_EQ(StatusOf(peer.Receive()), 200);
  }

  TestCertificate first_{"first"};
};

TEST_F(TlsTest, SpeaksTls12And13WithHttp11) {
  ListenTls();
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsPeer peer(server_->port(), {.version = version, .protocols = "\x02h2\x08http/1.1"});
    ASSERT_TRUE(peer.connected()) << version;
    EXPECT_EQ(peer.version(), version == TLS1_2_VERSION ? "TLSv1.2" : "TLSv1.3");
    EXPECT_EQ(peer.protocol(), "http/1.1");
    peer.Send(kHello);
    const std::string answer = peer.Receive();
    EXPECT_EQ(StatusOf(answer), 200);
    EXPECT_THAT(answer, HasSubstr("hello"));
    EXPECT_TRUE(peer.ended_in_order());
  }
  ExpectServesTls();  // without ALPN
}

TEST_F(TlsTest, RefusesOldVersionsWeakCiphersAndOtherProtocols) {
  ListenTls();
  for (const int version : {TLS1_VERSION, TLS1_1_VERSION})
    EXPECT_FALSE(TlsPeer(server_->port(), {.version = version}).connected()) << version;
  for (const char* ciphers :
       {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES128-SHA", "aNULL", "eNULL"})
    EXPECT_FALSE(TlsPeer(server_->port(), {.version = TLS1_2_VERSION, .ciphers = ciphers}).connected())
        << ciphers;
  EXPECT_FALSE(TlsPeer(server_->port(), {.protocols = "\x02h2"}).connected());
  ExpectServesTls();
}

TEST_F(TlsTest, RefusesRenegotiation) {
  ListenTls();
  TlsPeer peer(server_->port(), {.version = TLS1_2_VERSION});
  ASSERT_TRUE(peer.connected());
  EXPECT_FALSE(peer.Renegotiates());
  ExpectServesTls();
}

TEST_F(TlsTest, CarriesBodiesLargerThanARecordBothWays) {
  ListenTls();
  TlsPeer peer(server_->port());
  const std::string body(1 << 20, 'b');
  ASSERT_TRUE(peer.Send(
      "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1048576\r\n\r\n" + body));
  const std::string answer = peer.Receive();
  EXPECT_EQ(StatusOf(answer), 200);
  EXPECT_TRUE(answer.ends_with(body));
}

TEST_F(TlsTest, KeepsTheConnectionAndAnswersPipelinedRequests) {
  ListenTls();
  TlsPeer peer(server_->port());
  peer.Send(std::string("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n") + "GET /hello HTTP/1.1\r\nHost: a\r\n\r\n" +
            kHello);
  const std::string answers = peer.Receive();
  EXPECT_EQ(answers.find("HTTP/1.1 200"), 0u);
  EXPECT_TRUE(answers.ends_with("hello"));
  EXPECT_EQ(handler_.counts.heads, 3);
}

TEST_F(TlsTest, ABrokenStreamDoesNotLookWhole) {
  ListenTls();
  TlsPeer stream(server_->port());
  stream.Send("GET /stream HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_THAT(stream.Receive("0\r\n\r\n"), HasSubstr("part2"));
  TlsPeer broken(server_->port());
  broken.Send("GET /abort HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(broken.Receive().find("\r\n0\r\n\r\n"), std::string::npos);
}

TEST_F(TlsTest, CancelsAStreamThatIsNotRead) {
  ListenTls();
  TlsPeer peer(server_->port());
  peer.Send("GET /flood HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_TRUE(Eventually([&] { return handler_.counts.disconnects == 1; }));
  ExpectServesTls();
}

TEST_F(TlsTest, SeesADisconnectWhileItComputes) {
  ListenTls();
  {
    TlsPeer peer(server_->port());
    peer.Send("GET /hang HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_TRUE(Eventually([&] { return handler_.counts.bodies == 1; }));
  }
  EXPECT_TRUE(Eventually([&] { return handler_.counts.disconnects == 1; }));
}

TEST_F(TlsTest, DropsWhoeverDoesNotFinishTheHandshake) {
  ListenTls({.handshake_timeout = milliseconds(100)});
  RawSocket silent(server_->port());
  RawSocket half(server_->port());
  half.Send(std::string("\x16\x03\x01\x02\x00\x01", 6));
  EXPECT_TRUE(silent.SeesEnd());
  EXPECT_TRUE(half.SeesEnd());
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 0; }));
  ExpectServesTls();
}

TEST_F(TlsTest, PlainHttpAndGarbageAreDropped) {
  ListenTls();
  for (const std::string& bytes : {std::string(kHello), std::string(1000, '\0'), std::string(1000, '\x16')}) {
    RawSocket socket(server_->port());
    socket.Send(bytes);
    socket.HalfClose();
    const std::string answer = socket.Receive();
    EXPECT_EQ(answer.find("HTTP/1.1 200"), std::string::npos);
    EXPECT_TRUE(socket.SeesEnd());
  }
  EXPECT_EQ(handler_.counts.heads, 0);
  ExpectServesTls();
}

TEST_F(TlsTest, ANewCertificateIsForNewConnections) {
  ListenTls();
  TlsPeer old(server_->port());
  EXPECT_EQ(old.certificate_name(), "first");
  const TestCertificate second("second");
  server_->SetTls(Load(second));
  EXPECT_EQ(TlsPeer(server_->port()).certificate_name(), "second");
  old.Send(kHello);
  EXPECT_EQ(StatusOf(old.Receive()), 200) << "the open one goes on";
}

TEST_F(TlsTest, StopsWithHandshakesUnderWay) {
  ListenTls();
  RawSocket silent(server_->port());
  EXPECT_TRUE(Eventually([&] { return server_->num_connections() == 1; }));
  server_->Stop();
  EXPECT_TRUE(silent.SeesEnd());
}

TEST(TlsContextTest, SaysWhichFileIsWrong) {
  const TestCertificate one("one"), other("other");
  const TempFile garbage("no certificate\n", ".pem");
  ASSERT_EQ(chmod(garbage.path().c_str(), 0600), 0);
  const auto error = [](const std::string& cert, const std::string& key) {
    const auto context = TlsContext::Load(cert, key);
    return context.has_value() ? std::string("accepted")
                               : context.error().param() + " " + context.error().message();
  };
  EXPECT_EQ(error(one.cert(), one.key()), "accepted");
  EXPECT_THAT(error("/no/such.pem", one.key()), HasSubstr("cannot read '/no/such.pem'"));
  EXPECT_THAT(error(one.cert(), "/no/such.pem"), HasSubstr("cannot read '/no/such.pem'"));
  EXPECT_THAT(error(garbage.path(), one.key()), HasSubstr("--tls-cert"));
  EXPECT_THAT(error(one.cert(), garbage.path()), HasSubstr("--tls-key"));
  EXPECT_THAT(error(one.cert(), other.key()), HasSubstr("is not the key of the certificate"));
  EXPECT_THAT(error(one.cert(), one.locked_key()), HasSubstr("without a pass phrase"));
  ASSERT_EQ(chmod(one.key().c_str(), 0644), 0);
  EXPECT_THAT(error(one.cert(), one.key()), HasSubstr("chmod 600"));
}

}  // namespace
}  // namespace weir
