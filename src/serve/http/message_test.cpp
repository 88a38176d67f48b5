#include "serve/http/message.h"

#include <gtest/gtest.h>

#include "serve/http/test_server.h"

namespace fettle::serve {
namespace {

using test::ask;
using test::body_of;
using test::RawClient;
using test::status_of;

HttpRequest request_of(const std::string& target) {
  return {parse_head("GET " + target + " HTTP/1.1\r\nHost: a\r\n\r\n", {}), "body"};
}

TEST(HttpRequest, DecodesPathAndQuery) {
  const HttpRequest request = request_of("/a%20b/%zz%4?x=1&y=a+b%26c&x=2&=e&z&#part");
  EXPECT_EQ(request.path, "/a b/%zz%4");
  EXPECT_EQ(request.parameters, (std::map<std::string, std::string>{{"", "e"}, {"x", "1"}, {"y", "a b&c"}, {"z", ""}}));
  EXPECT_EQ(request.parameter("x"), "1");
  EXPECT_EQ(request.parameter("none", "otherwise"), "otherwise");
  EXPECT_EQ(request.body, "body");
  EXPECT_EQ(request_of("/").path, "/");
  EXPECT_EQ(request_of("/%2e%2e/%00").path, std::string("/../\0", 5));
}

TEST(HttpResponse, HeadersStandOnceWhateverTheirCase) {
  HttpResponse answer;
  answer.set_header("ETag", "1");
  answer.set_header("etag", "2");
  EXPECT_TRUE(answer.has_header("ETAG"));
  EXPECT_FALSE(answer.has_header("Age"));
}

/// What a server on 127.0.0.1 sends for these bytes, to the end of the connection.
std::string sent_for(const HttpTestServer& server, const std::string& bytes) {
  RawClient client(server.port);
  client.send(bytes);
  return client.read_all();
}

TEST(HttpResponse, AStreamIsChunksOrTheRestOfTheConnection) {
  const HttpTestServer server;
  const std::string chunked = sent_for(server, "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_NE(chunked.find("Transfer-Encoding: chunked\r\n"), std::string::npos);
  EXPECT_EQ(body_of(chunked), "3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
  const std::string plain = sent_for(server, "GET /stream HTTP/1.0\r\n\r\n");
  EXPECT_EQ(plain.find("Transfer-Encoding"), std::string::npos);
  EXPECT_NE(plain.find("Connection: close\r\n"), std::string::npos);
  EXPECT_EQ(body_of(plain), "onetwo");
  // One that breaks off is not ended.
  const std::string broken = sent_for(server, "GET /broken HTTP/1.1\r\nHost: a\r\n\r\n");
  EXPECT_EQ(body_of(broken), "3\r\none\r\n");
}

TEST(HttpResponse, HeadHasNoBodyAndTheConnectionStays) {
  const HttpTestServer server;
  const std::string both = sent_for(server, "HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\nGET /hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  EXPECT_EQ(status_of(both), 200);
  EXPECT_NE(both.find("Content-Length: 14\r\n"), std::string::npos);
  EXPECT_EQ(both.find(R"({"hello":true})"), both.size() - 14);
  EXPECT_EQ(body_of(sent_for(server, "HEAD /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")), "");
}

TEST(HttpResponse, LargeBodiesComeWhole) {
  const HttpTestServer server;
  EXPECT_EQ(body_of(ask(server.port, "GET", "/large")), std::string(300000, 'x'));
}

}  // namespace
}  // namespace fettle::serve
