#pragma once
// From a decoded call to the answer that a client gets: what every route that generates text shares.
#include <memory>

#include "serve/api/completion_request.h"
#include "serve/api/reply_format.h"
#include "serve/api/server_state.h"

namespace fettle::serve {

/// Runs the call and answers it, whole or as a stream, as `format` writes it. `body` goes into the request
/// log. Throws ApiError until the first byte is sent.
void answer_call(ServerState& state, HttpCall& http, OrderedJson body, const CompletionCall& call,
                 std::unique_ptr<ReplyFormat> format);

}  // namespace fettle::serve
