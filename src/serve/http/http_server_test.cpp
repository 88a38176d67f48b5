#include "serve/http/http_server.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "serve/http/test_server.h"

namespace fettle::serve {
namespace {

using test::ask;
using test::body_of;
using test::RawClient;
using test::status_of;

RequestHead head_of(const std::string& lines) {
  return parse_head(lines + "\r\n", {});
}
int refused(const std::string& lines, const HeadLimits& limits = {}) {
  try {
    parse_head(lines + "\r\n", limits);
    return 0;
  } catch (const ApiError& error) {
    return error.status();
  }
}

TEST(RequestHead, ReadsWhatMatters) {
  const RequestHead head = head_of(
      "POST /v1/x?y=1 HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\nRange: bytes=0-1\r\nContent-Length: "
      "5\r\n"
      "Authorization: Bearer k\r\nIf-None-Match: \"t\"\r\n");
  EXPECT_EQ(head.method, "POST");
  EXPECT_EQ(head.target, "/v1/x?y=1");
  EXPECT_EQ(head.authorization, "Bearer k");
  EXPECT_TRUE(head.has_body());
  EXPECT_TRUE(head.keep_alive);
  EXPECT_EQ(head.if_none_match, "\"t\"");
  EXPECT_TRUE(head.is_1_1);
  EXPECT_EQ(head.length, 5U);
  EXPECT_FALSE(head_of("GET / HTTP/1.0\r\n").keep_alive);
  EXPECT_FALSE(head_of("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n").keep_alive);
  EXPECT_TRUE(head_of("POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nTransfer-Encoding: chunked\r\n").expects_continue);
}

TEST(RequestHead, RefusesWhatTwoReadersMightReadDifferently) {
  EXPECT_EQ(refused("GET /\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/2.0\r\n"), 505);
  EXPECT_EQ(refused("GET http://x/ HTTP/1.1\r\n"), 400);
  EXPECT_EQ(refused("GET /a b HTTP/1.1\r\n"), 400);
  EXPECT_EQ(refused("G\tT / HTTP/1.1\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nA : b\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\n folded\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nA: b\rX: c\r\n"), 400);
  EXPECT_EQ(refused(std::string("GET / HTTP/1.1\r\nA: \0\r\n", 22)), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nContent-Length: +1\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n"), 501);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nContent-Encoding: gzip\r\n"), 415);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"), 415);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n"), 413);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n"), 400);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nHost:\r\nHost: b\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n"), 400);
  EXPECT_EQ(refused("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\n"), 417);
  for (const char* method : {"PROPFIND", "CONNECT", "TRACE", "get", "PRI"})
    EXPECT_EQ(refused(fmt::format("{} / HTTP/1.1\r\nHost: a\r\n", method)), 501) << method;
  EXPECT_EQ(refused("GET /" + std::string(2000, 'a') + " HTTP/1.1\r\n"), 414);
  std::string many = "GET / HTTP/1.1\r\n";
  for (int i = 0; i < 101; ++i) many += "A: b\r\n";
  EXPECT_EQ(refused(many), 431);
  EXPECT_EQ(refused("GET / HTTP/1.1\r\nA: " + std::string(40000, 'a') + "\r\n"), 431);
}

TEST(HttpServer, RoutesAndErrors) {
  const HttpTestServer server;
  EXPECT_EQ(body_of(ask(server.port, "GET", "/hello")), R"({"hello":true})");
  EXPECT_EQ(body_of(ask(server.port, "GET", "/named/a%20b")), R"({"name":"a b"})");
  EXPECT_EQ(body_of(ask(server.port, "POST", "/echo", "12345")), R"({"size":5})");
  EXPECT_EQ(status_of(ask(server.port, "GET", "/nothing")), 404);
  EXPECT_EQ(status_of(ask(server.port, "POST", "/hello")), 405);
  EXPECT_EQ(status_of(ask(server.port, "GET", "/secret")), 401);
  EXPECT_EQ(status_of(ask(server.port, "GET", "/../../etc/passwd")), 404);
  EXPECT_EQ(status_of(ask(server.port, "GET", "/%2e%2e/%2e%2e/etc/passwd")), 404);
  const std::string error = ask(server.port, "GET", "/error");
  EXPECT_EQ(status_of(error), 500);
  EXPECT_EQ(error.find("secret"), std::string::npos);
}

TEST(HttpServer, KeepsAConnectionForManyRequests) {
  const HttpTestServer server;
  RawClient client(server.port);
  for (int i = 0; i < 3; ++i) {
    client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    EXPECT_EQ(body_of(client.read_answer()), R"({"size":3})");
  }
  // Two at once in one packet.
  client.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /named/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  const std::string both = client.read_all();
  EXPECT_NE(both.find("hello"), std::string::npos);
  EXPECT_NE(both.find(R"({"name":"x"})"), std::string::npos);
}

TEST(HttpServer, ChunkedBodiesAreReadWithinTheLimit) {
  const HttpTestServer server;
  RawClient client(server.port);
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabcde\r\n0\r\n\r\n");
  EXPECT_EQ(body_of(client.read_answer()), R"({"size":5})");
  RawClient endless(server.port);
  endless.send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const std::string chunk = "400\r\n" + std::string(1024, 'x') + "\r\n";
  for (int i = 0; i < 200; ++i) endless.send(chunk);
  EXPECT_EQ(status_of(endless.read_all()), 413);
  EXPECT_EQ(status_of(ask(server.port, "GET", "/hello")), 200);
}

TEST(HttpServer, SlowAndSilentClientsAreLetGo) {
  const HttpTestServer server;
  RawClient slow(server.port), silent(server.port), body(server.port);
  slow.send("GET /hel");
  body.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  EXPECT_EQ(status_of(slow.read_all(3000)), 408);
  EXPECT_EQ(status_of(body.read_all(3000)), 408);
  EXPECT_EQ(silent.read_all(3000), "");
  EXPECT_EQ(status_of(ask(server.port, "GET", "/hello")), 200);
}

TEST(HttpServer, BodiesBeyondTheLimitAreNotRead) {
  const HttpTestServer server;
  RawClient client(server.port);
  client.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
  EXPECT_EQ(status_of(client.read_all()), 413);
}

TEST(HttpServer, IdleConnectionsMakeRoomAndHoldNoThread) {
  HttpOptions options = HttpTestServer::limits();
  options.max_connections = 20;
  options.max_active = 2;
  const HttpTestServer server(options);
  std::vector<std::unique_ptr<RawClient>> idle;
  for (int i = 0; i < 60; ++i) idle.push_back(std::make_unique<RawClient>(server.port));
  EXPECT_EQ(status_of(ask(server.port, "GET", "/hello")), 200);
}

TEST(HttpServer, BeyondThePendingRequestsItAnswers503) {
  HttpOptions options = HttpTestServer::limits();
  options.max_active = 1;
  options.max_pending = 1;
  HttpTestServer server(options);
  RawClient running(server.port), waiting(server.port);
  running.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  while (!server.started) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  waiting.send("GET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  const std::string refused = ask(server.port, "GET", "/hello");
  EXPECT_EQ(status_of(refused), 503);
  EXPECT_NE(refused.find("Retry-After: "), std::string::npos);
  EXPECT_EQ(status_of(running.read_answer()), 200);
  EXPECT_EQ(status_of(waiting.read_answer()), 200);
}

TEST(HttpServer, SeesAClientLeaveAndStopsGracefully) {
  HttpTestServer server;
  RawClient client(server.port);
  client.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  while (!server.started) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  client.leave();
  for (int i = 0; i < 100 && !server.left; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  EXPECT_TRUE(server.left);
  server.started = false;
  server.left = false;
  RawClient last(server.port);
  last.send("GET /slow HTTP/1.1\r\nHost: a\r\n\r\n");
  while (!server.started) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  server.stop();  // what runs is finished
  EXPECT_EQ(body_of(last.read_answer()), R"({"slow":true})");
  EXPECT_FALSE(RawClient(server.port).connected());
}

}  // namespace
}  // namespace fettle::serve
