#pragma once
// From the JSON body of Anthropic's /v1/messages to a call, by way of a chat request that asks for the same.
// Types: Anthropic's Messages API reference.
#include "serve/api/completion_request.h"

namespace fettle::serve {

/// Throws ApiError: 400 naming the field, 404 for the model.
CompletionCall decode_messages(const OrderedJson& body, const ModelContext& model);
/// The tokens of the prompt that the same body would make, whether or not they fit into the context.
int64_t count_messages_tokens(const OrderedJson& body, const ModelContext& model);

/// "messages" of a chat request from Anthropic's, "system" included.
OrderedJson messages_from_blocks(BodyFields& fields);

}  // namespace fettle::serve
