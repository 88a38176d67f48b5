#include "serve/http/own_hosts.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <netinet/in.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "serve/http/syntax.h"

namespace fettle::serve {
namespace {

std::string spelled(int family, const void* address) {
  char text[INET6_ADDRSTRLEN] = "";
  return inet_ntop(family, address, text, sizeof text) == nullptr ? std::string() : std::string(text);
}

/// An address in the system's spelling, IPv4 inside IPv6 as IPv4; anything else in lower case without a last dot.
std::string one_spelling(std::string_view host) {
  std::string name = lower_case(host);
  in_addr v4{};
  in6_addr v6{};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return spelled(AF_INET, &v4);
  if (inet_pton(AF_INET6, name.c_str(), &v6) == 1) {
    return IN6_IS_ADDR_V4MAPPED(&v6) ? spelled(AF_INET, &v6.s6_addr[12]) : spelled(AF_INET6, &v6);
  }
  if (name.ends_with('.')) name.pop_back();
  return name;
}

/// NAME of NAME, NAME:PORT, [ADDRESS] and [ADDRESS]:PORT; empty when it is none of them.
std::string name_of(std::string_view host) {
  std::string_view name = host, port;
  if (host.starts_with('[')) {
    const size_t end = host.find(']');
    if (end == std::string_view::npos) return {};
    name = host.substr(1, end - 1);
    port = host.substr(end + 1);
  } else if (const size_t colon = host.find(':'); colon != std::string_view::npos && host.find(':', colon + 1) == std::string_view::npos) {
    name = host.substr(0, colon);
    port = host.substr(colon);
  }
  const bool good_port = port.empty() || (port.front() == ':' && std::ranges::all_of(port.substr(1), [](char c) { return c >= '0' && c <= '9'; }));
  return good_port ? one_spelling(name) : std::string();
}

std::string address_text(const sockaddr* address) {
  if (address == nullptr) return {};
  if (address->sa_family == AF_INET) return spelled(AF_INET, &reinterpret_cast<const sockaddr_in*>(address)->sin_addr);
  if (address->sa_family == AF_INET6) return spelled(AF_INET6, &reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr);
  return {};
}

}  // namespace

OwnHosts::OwnHosts(const std::string& listen, const std::vector<std::string>& allowed) {
  names_ = {"localhost", name_of(listen)};
  for (const std::string& host : allowed) names_.insert(name_of(host));
  char own[256] = "";
  if (gethostname(own, sizeof own - 1) == 0) {
    const std::string name = name_of(own);
    const std::string first = name.substr(0, name.find('.'));
    names_.insert({name, first, first + ".local"});
  }
  ifaddrs* found = nullptr;
  if (getifaddrs(&found) == 0) {
    const std::unique_ptr<ifaddrs, decltype(&freeifaddrs)> hold(found, freeifaddrs);
    for (const ifaddrs* each = found; each != nullptr; each = each->ifa_next) names_.insert(address_text(each->ifa_addr));
  }
  names_.erase("");
  names_.erase(".local");
}

bool OwnHosts::has(std::string_view host, std::string_view local_address) const {
  const std::string name = name_of(host);
  return !name.empty() && (names_.contains(name) || is_loopback(name) || name == one_spelling(local_address));
}

bool is_loopback(std::string_view host) {
  const std::string name = name_of(host);
  in_addr v4{};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) return (ntohl(v4.s_addr) >> 24) == 127;
  return name == "localhost" || name == "::1";
}

}  // namespace fettle::serve
