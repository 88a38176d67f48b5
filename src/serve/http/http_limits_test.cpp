// Clients that mean harm, and a system that gives no more.
#include <gtest/gtest.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/resource.h>

#include <fstream>
#include <memory>
#include <vector>

#include "serve/http/test_server.h"

namespace fettle::serve {
namespace {

using test::ask;
using test::body_of;
using test::RawClient;
using test::status_of;
using std::chrono::milliseconds;

TEST(HttpLimits, WhatNoHandlerReadToItsEndEndsTheConnection) {
  const HttpTestServer server;
  const std::string inner = "GET /named/SMUGGLED HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
  const std::string host = "Host: localhost\r\n", length = fmt::format("Content-Length: {}\r\n\r\n", inner.size());
  const std::string chunked = "POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n";
  const std::pair<const char*, std::string> cases[] = {
      {"an unknown method", "PROPFIND /hello HTTP/1.1\r\n" + host + length},
      {"a method of the HTTP library's", "PRI /hello HTTP/1.1\r\n" + host + length},
      {"a long header line", "GET /nothing HTTP/1.1\r\n" + host + "X: " + std::string(9000, 'y') + "\r\n" + length},
      {"a head that is too long", "POST /echo HTTP/1.1\r\n" + host + "X: " + std::string(40000, 'y') + "\r\n" + length},
      {"a size that is no number", chunked + "g\r\n"},
      {"a size with a sign", chunked + "+5\r\nabcde\r\n0\r\n\r\n"},
      {"a size that runs over", chunked + "10000000000000000\r\n"},
      {"a size with 0x", chunked + "0x0\r\n\r\n"},
      {"no route", "POST /nothing HTTP/1.1\r\n" + host + length},
      {"no such method at the route", "POST /hello HTTP/1.1\r\n" + host + length},
      {"a body of GET", "GET /hello HTTP/1.1\r\n" + host + length},
      {"a body of DELETE", "DELETE /hello HTTP/1.1\r\n" + host + length},
      {"no key", "POST /secret HTTP/1.1\r\n" + host + length},
      {"a length and chunks", "POST /echo HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n" + length},
      {"two lengths", "POST /echo HTTP/1.1\r\n" + host + "Content-Length: 0\r\n" + length},
      {"chunks of HTTP/1.0", "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
      {"an unknown expectation", "POST /echo HTTP/1.1\r\n" + host + "Expect: more\r\n" + length}};
  for (const auto& [name, request] : cases) {
    RawClient client(server.port);
    client.send(request + inner + inner);
    const std::string answer = client.read_all();
    EXPECT_EQ(answer.find("SMUGGLED"), std::string::npos) << name;
    EXPECT_TRUE(answer.starts_with("HTTP/1.1 ")) << name;
    EXPECT_EQ(answer.find("HTTP/1.1 ", 1), std::string::npos) << name;
  }
  RawClient good(server.port);
  good.send(chunked + "1;x=y\r\na\r\n0\r\nT: u\r\n\r\n" + inner);
  EXPECT_NE(good.read_all().find("SMUGGLED"), std::string::npos) << "what was read to its end is followed by the next";
}

TEST(HttpLimits, SlowBodiesHoldNoThread) {
  HttpOptions options = HttpTestServer::limits();
  options.max_active = 2;
  options.body_timeout = milliseconds(5000);
  const HttpTestServer server(options);
  std::vector<std::unique_ptr<RawClient>> slow;
  for (int i = 0; i < 60; ++i) {
    slow.push_back(std::make_unique<RawClient>(server.port));
    slow.back()->send(i % 2 == 0 ? "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc"
                                 : "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\na");
  }
  const auto begin = Clock::now();
  EXPECT_EQ(status_of(ask(server.port, "GET", "/hello")), 200);
  EXPECT_LT(Clock::now() - begin, milliseconds(2000));
  slow[0]->send("defghij");
  EXPECT_EQ(body_of(slow[0]->read_answer()), R"({"size":10})");
  slow[1]->send("bc\r\n0\r\n\r\n");
  EXPECT_EQ(body_of(slow[1]->read_answer()), R"({"size":3})");
}

TEST(HttpLimits, AllBodiesTogetherAreBounded) {
  HttpOptions options = HttpTestServer::limits();
  options.body_timeout = milliseconds(5000);
  options.body_memory = 4000;
  const HttpTestServer server(options);
  std::vector<std::unique_ptr<RawClient>> large;
  for (int i = 0; i < 8; ++i) {
    large.push_back(std::make_unique<RawClient>(server.port));
    large.back()->send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n" + std::string(900, 'x'));
  }
  EXPECT_EQ(body_of(ask(server.port, "POST", "/echo", "12345")), R"({"size":5})");
  int refused = 0, served = 0;
  for (const auto& client : large) {
    client->send(std::string(100, 'x'));
    const int status = status_of(client->read_answer());
    (status == 503 ? refused : served) += 1;
    EXPECT_TRUE(status == 503 || status == 200) << status;
  }
  EXPECT_GE(refused, 4);
  EXPECT_EQ(refused + served, 8);
  EXPECT_EQ(body_of(ask(server.port, "POST", "/echo", std::string(1000, 'x'))), R"({"size":1000})");
}

TEST(HttpLimits, AClientThatAsksWhetherToSendIsTold) {
  const HttpTestServer server;
  RawClient client(server.port);
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_TRUE(client.read_answer().starts_with("HTTP/1.1 100 "));
  client.send("abc");
  EXPECT_EQ(body_of(client.read_answer()), R"({"size":3})");
  RawClient refused(server.port);
  refused.send("POST /secret HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n");
  EXPECT_EQ(status_of(refused.read_all()), 401);
}

TEST(HttpLimits, EveryAnswerIsKeptByNoCacheAndEmbeddedByNoOtherSite) {
  const HttpTestServer server;
  for (const char* path : {"/hello", "/nothing", "/secret", "/error", "/no-memory"}) {
    const std::string answer = ask(server.port, "GET", path);
    for (const char* header : {"Cache-Control: no-store\r\n", "Cross-Origin-Resource-Policy: same-origin\r\n", "X-Content-Type-Options: nosniff\r\n"})
      EXPECT_NE(answer.find(header), std::string::npos) << path << ": " << answer;
  }
}

TEST(HttpLimits, LackOfMemoryInARouteIsAnswered) {
  const HttpTestServer server;
  RawClient client(server.port);
  client.send("GET /no-memory HTTP/1.1\r\nHost: a\r\n\r\n");
  const std::string answer = client.read_answer();
  EXPECT_EQ(status_of(answer), 503);
  EXPECT_NE(answer.find("Retry-After: "), std::string::npos);
  client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(status_of(client.read_answer()), 200);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
/// No room for the stacks of more than a few further threads, as long as this lives.
class TightMemory {
 public:
  explicit TightMemory(rlim_t room) {
    getrlimit(RLIMIT_AS, &before_);
    std::ifstream status("/proc/self/status");
    std::string word;
    rlim_t size = 0;
    while (status >> word) {
      if (word == "VmSize:") status >> size;
    }
    rlimit tight = before_;
    tight.rlim_cur = size * 1024 + room;
    setrlimit(RLIMIT_AS, &tight);
  }
  ~TightMemory() { setrlimit(RLIMIT_AS, &before_); }

 private:
  rlimit before_{};
};

TEST(HttpLimits, WithoutFurtherThreadsSingleRequestsAreRefused) {
  HttpOptions options = HttpTestServer::limits();
  options.max_active = 200;
  HttpTestServer server(options);
  EXPECT_EQ(status_of(ask(server.port, "GET", "/hello")), 200);
  int served = 0, refused = 0;
  {
    const TightMemory tight(40 << 20);
    std::vector<std::unique_ptr<RawClient>> clients;
    for (int i = 0; i < 100; ++i) {
      clients.push_back(std::make_unique<RawClient>(server.port));
      clients.back()->send("GET /slow HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    }
    for (const auto& client : clients) {
      const int status = status_of(client->read_all(10000));
      EXPECT_TRUE(status == 200 || status == 503) << status;
      (status == 200 ? served : refused) += 1;
    }
    EXPECT_EQ(status_of(ask(server.port, "GET", "/hello")), 200);
  }
  EXPECT_GT(served, 0);
  EXPECT_GT(refused, 0) << "the system gave a thread for each";
  EXPECT_EQ(status_of(ask(server.port, "GET", "/hello")), 200);
}
#endif

TEST(HttpLimits, EveryThreadIsJoinedWhenTheLoopEndsWithAnException) {
  HttpServer server(HttpTestServer::limits());
  server.route("GET", "/hello", [](HttpCall& call) { answer_json(call.response, 200, {}); });
  const int port = server.bind();
  std::atomic<bool> fail{false}, failed{false};
  std::thread thread([&] {
    try {
      server.run([&]() -> bool {
        if (fail) throw std::runtime_error("ended");
        return false;
      });
    } catch (const std::runtime_error&) {
      failed = true;
    }
  });
  EXPECT_EQ(status_of(ask(port, "GET", "/hello")), 200);
  fail = true;
  thread.join();
  EXPECT_TRUE(failed);
  EXPECT_FALSE(RawClient(port).connected());
}

/// A certificate for localhost that nobody signed, and its key.
void write_certificate(const fs::path& certificate, const fs::path& key) {
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> pair(EVP_EC_gen("P-256"), EVP_PKEY_free);
  const std::unique_ptr<X509, decltype(&X509_free)> x509(X509_new(), X509_free);
  ASN1_INTEGER_set(X509_get_serialNumber(x509.get()), 1);
  X509_gmtime_adj(X509_getm_notBefore(x509.get()), 0);
  X509_gmtime_adj(X509_getm_notAfter(x509.get()), 3600);
  X509_set_pubkey(x509.get(), pair.get());
  X509_NAME* name = X509_get_subject_name(x509.get());
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, reinterpret_cast<const unsigned char*>("localhost"), -1, -1, 0);
  X509_set_issuer_name(x509.get(), name);
  X509_sign(x509.get(), pair.get(), EVP_sha256());
  const std::unique_ptr<FILE, decltype(&fclose)> c(fopen(certificate.c_str(), "w"), fclose), k(fopen(key.c_str(), "w"), fclose);
  PEM_write_X509(c.get(), x509.get());
  PEM_write_PrivateKey(k.get(), pair.get(), nullptr, nullptr, 0, nullptr, nullptr);
}

/// One request over TLS; empty when the handshake fails.
std::string ask_tls(int port, const std::string& request) {
  RawClient client(port);
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context(SSL_CTX_new(TLS_client_method()), SSL_CTX_free);
  const std::unique_ptr<SSL, decltype(&SSL_free)> ssl(SSL_new(context.get()), SSL_free);
  SSL_set_fd(ssl.get(), client.socket());
  ERR_clear_error();
  if (SSL_connect(ssl.get()) != 1) return {};
  SSL_write(ssl.get(), request.data(), static_cast<int>(request.size()));
  std::string answer;
  char piece[4096];
  for (int got = 0; (got = SSL_read(ssl.get(), piece, sizeof piece)) > 0;) answer.append(piece, static_cast<size_t>(got));
  return answer;
}

TEST(HttpLimits, TlsClientsThatAreSilentInTheHandshakeHoldNoThread) {
  const TemporaryFolder folder;
  HttpOptions options = HttpTestServer::limits();
  options.tls_certificate = folder.path() / "certificate.pem";
  options.tls_key = folder.path() / "key.pem";
  write_certificate(options.tls_certificate, options.tls_key);
  options.max_active = 2;
  options.head.body = 1 << 20;
  options.head_timeout = options.body_timeout = options.idle_timeout = milliseconds(10000);
  const HttpTestServer server(options);
  std::vector<std::unique_ptr<RawClient>> silent;
  for (int i = 0; i < 300; ++i) {
    silent.push_back(std::make_unique<RawClient>(server.port));
    silent.back()->send(i % 3 == 0 ? "\x16" : i % 3 == 1 ? std::string("\x16\x03\x01\x02\x00\x01", 6) : "GET / HTTP/1.1\r\n\r\n");
  }
  const auto begin = Clock::now();
  const std::string request = "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n";
  EXPECT_NE(ask_tls(server.port, request + "GET /named/next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").find("next"), std::string::npos);
  EXPECT_LT(Clock::now() - begin, milliseconds(5000));
  const std::string large(300000, 'x');
  EXPECT_EQ(body_of(ask_tls(server.port, fmt::format("POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{}", large.size(), large))),
            R"({"size":300000})");
  EXPECT_EQ(status_of(ask_tls(server.port, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n")), 501);
}

}  // namespace
}  // namespace fettle::serve
