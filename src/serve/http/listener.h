#pragma once
// The socket that a server listens on, and the certificate it shows.
#include <openssl/ssl.h>

#include <string>

#include "base/file.h"

namespace fettle::serve {

/// A listening, non-blocking socket; the caller closes it. Throws Error(io) naming the address.
int open_listener(const std::string& host, int port);

/// TLS 1.2 and later; null when both paths are empty. The caller frees it. Throws Error: one path without the
/// other, or files that are no certificate and key.
SSL_CTX* open_tls(const fs::path& certificate, const fs::path& key);

}  // namespace fettle::serve
