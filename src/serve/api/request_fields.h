#pragma once
// The fields that chat and text completions share, in OpenAI's and vLLM's names.
#include "serve/api/completion_request.h"

namespace fettle::serve {

/// What decides how tokens are drawn and when an answer ends. Throws ApiError 400 naming the field.
void read_sampling(BodyFields& fields, const ModelContext& model, GenerationRequest& request);

/// "stream" and "stream_options".
void read_stream(BodyFields& fields, CompletionCall& call);

/// "model", "user", and the fields that change nothing here: each is accepted with the values that a server
/// with one local model keeps to anyway. docs/serve.md has the table.
void read_fixed(BodyFields& fields, CompletionCall& call);

/// "min_tokens": holds the constraint of `request` off the ends of an answer until then. After stop tokens
/// and constraint are known.
void read_least_tokens(BodyFields& fields, const ModelContext& model, int64_t max_tokens,
                       GenerationRequest& request);

}  // namespace fettle::serve
