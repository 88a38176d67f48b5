#pragma once
// Which pages of other origins may use the server: the CORS protocol of the Fetch standard.
#include <string>
#include <utility>
#include <vector>

#include "serve/http/request_head.h"

namespace fettle::serve {

using Headers = std::vector<std::pair<std::string, std::string>>;

/// What every answer to `head` carries, errors too, so that a page may read it. `allowed`: an origin, "*" for
/// all, empty for none. Credentials are never allowed: a key travels in Authorization or x-api-key, which the
/// page sets itself.
Headers cors_headers(const std::string& allowed, const RequestHead& head);

/// Whether a browser asks if it may send a request, which is answered before routes and keys are looked at.
bool is_preflight(const std::string& allowed, const RequestHead& head);

}  // namespace fettle::serve
