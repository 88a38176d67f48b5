// POST /v1/chat/completions and /v1/completions.
#include "serve/api/answering.h"
#include "serve/api/reply.h"

namespace fettle::serve {
namespace {

void complete(ServerState& state, HttpCall& http, bool chat) {
  OrderedJson body = parse_body(http.request.body);
  const auto call = std::make_shared<const CompletionCall>(chat ? decode_chat(body, state.context)
                                                                : decode_completion(body, state.context));
  const std::string& model = call->model.empty() ? state.models.name() : call->model;
  answer_call(state, http, std::move(body), *call,
              std::make_unique<CompletionReply>(call, make_reply_head(chat ? "chatcmpl-" : "cmpl-", model),
                                                *state.context.tokenizer, state.options.stream_period));
}

}  // namespace

void add_completion_routes(HttpServer& http, ServerState& state) {
  http.route("POST", "/v1/chat/completions", [&](HttpCall& call) { complete(state, call, true); });
  http.route("POST", "/v1/completions", [&](HttpCall& call) { complete(state, call, false); });
}

}  // namespace fettle::serve
