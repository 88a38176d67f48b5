#pragma once
// Which names a client may call the server by. A page from elsewhere can make its own name point at this machine (DNS
// rebinding), but it cannot make the browser send another Host than that name.
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace fettle::serve {

class OwnHosts {
 public:
  /// listen: the address that the server listens on. allowed: further names, with or without a port, as the user gave them.
  /// This machine's own names and addresses are looked up once.
  OwnHosts(const std::string& listen, const std::vector<std::string>& allowed);

  /// host: a Host field, "NAME", "NAME:PORT", "[ADDRESS]:PORT". local_address: the server's end of the connection.
  bool has(std::string_view host, std::string_view local_address) const;

 private:
  std::set<std::string> names_;  ///< lower case; addresses in the system's spelling
};

/// "localhost" and the addresses of loopback, with or without brackets.
bool is_loopback(std::string_view host);

}  // namespace fettle::serve
