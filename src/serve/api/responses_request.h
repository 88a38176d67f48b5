#pragma once
// From the JSON body of /v1/responses to a call, by way of a chat request that asks for the same. Types:
// OpenAI's API reference and the Open Responses specification (openresponses.org).
#include <functional>
#include <string>

#include "serve/api/completion_request.h"
#include "serve/store/stored_responses.h"

namespace fettle::serve {

struct ResponsesCall {
  CompletionCall call;
  Json settings;      ///< the fields of the answer that repeat the request
  OrderedJson items;  ///< the conversation so far, the request's own input included; for the store
  bool store = true;
};

/// `stored`: where previous_response_id and references to items are looked up. Throws ApiError: 400 naming
/// the field, 404 for the model or an earlier response.
ResponsesCall decode_responses(const OrderedJson& body, const ModelContext& model,
                               const StoredResponses& stored);

/// "messages" of a chat request from a list of items. `path` names the list in errors. Throws ApiError 400.
OrderedJson messages_from_items(const OrderedJson& items, const std::string& path);

}  // namespace fettle::serve
