#pragma once
// Errors of a chat request that another API's request became: under the names that the client knows.
#include <initializer_list>
#include <string_view>
#include <utility>

#include "serve/api/completion_request.h"

namespace fettle::serve {

/// decode_chat(), with fields renamed in what it throws: `names` are pairs of the chat request's and the
/// client's name.
CompletionCall decode_translated(const OrderedJson& chat, const ModelContext& model,
                                 std::initializer_list<std::pair<std::string_view, std::string_view>> names);

/// Sets the template's enable_thinking, unless prompts are made without a template.
void set_thinking(OrderedJson& chat, bool enabled, const ModelContext& model);

}  // namespace fettle::serve
