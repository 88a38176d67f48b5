#pragma once
// "messages" of a chat request.
#include "serve/http/fields.h"
#include "text/chat/message.h"

namespace fettle::serve {

/// A conversation as clients send it back: null is absent, an assistant's turn may have no content, a refusal
/// is its text; fields that say nothing to a model (annotations, empty lists of calls) are left out, others
/// reach the template. Throws ApiError 400 that names the message.
Messages read_messages(BodyFields& fields);

}  // namespace fettle::serve
