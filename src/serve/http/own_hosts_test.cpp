#include "serve/http/own_hosts.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace fettle::serve {
namespace {

TEST(OwnHosts, OwnNamesAndAddressesPassWithAnyPort) {
  const OwnHosts hosts("0.0.0.0", {});
  char own[256] = "";
  ASSERT_EQ(gethostname(own, sizeof own - 1), 0);
  for (const std::string host : {"localhost", "LOCALHOST:1", "localhost.", "127.0.0.1:18888", "127.3.2.1", "[::1]:5", "::1", "[::ffff:127.0.0.1]", "0.0.0.0:1"})
    EXPECT_TRUE(hosts.has(host, "127.0.0.1")) << host;
  EXPECT_TRUE(hosts.has(std::string(own) + ":18888", "127.0.0.1"));
  EXPECT_TRUE(hosts.has("192.0.2.7:1", "192.0.2.7"));
  EXPECT_TRUE(hosts.has("[2001:DB8:0::7]", "2001:db8::7"));
}

TEST(OwnHosts, OthersDoNotPass) {
  const OwnHosts hosts("127.0.0.1", {});
  for (const char* host : {"evil.example", "evil.example:18888", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.8", "[2001:db8::8]",
                           "localhost:80x", "[::1", "localhost@evil.example", "", "localhost,evil", "local host"})
    EXPECT_FALSE(hosts.has(host, "192.0.2.7")) << host;
}

TEST(OwnHosts, AllowedNamesAndTheListeningOnePass) {
  const OwnHosts hosts("models.lan", {"Chat.Example", "other.example:8443", "198.51.100.4"});
  for (const char* host : {"models.lan:1", "chat.example", "CHAT.example:9", "other.example", "198.51.100.4:80"})
    EXPECT_TRUE(hosts.has(host, "127.0.0.1")) << host;
  EXPECT_FALSE(hosts.has("sub.chat.example", "127.0.0.1"));
}

TEST(OwnHosts, Loopback) {
  for (const char* host : {"localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"}) EXPECT_TRUE(is_loopback(host)) << host;
  for (const char* host : {"0.0.0.0", "::", "10.0.0.1", "127.evil.example"}) EXPECT_FALSE(is_loopback(host)) << host;
}

}  // namespace
}  // namespace fettle::serve
