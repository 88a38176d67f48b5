// POST /v1/messages and /v1/messages/count_tokens, as Anthropic's clients speak.
#include "serve/api/answering.h"
#include "serve/api/messages_reply.h"
#include "serve/api/messages_request.h"

namespace fettle::serve {
namespace {

void answer(ServerState& state, HttpCall& http) {
  OrderedJson body = parse_body(http.request.body);
  const auto call = std::make_shared<const CompletionCall>(decode_messages(body, state.context));
  const std::string& model = call->model.empty() ? state.models.name() : call->model;
  const int64_t room = state.context.context - static_cast<int64_t>(call->requests.front().prompt.size());
  answer_call(state, http, std::move(body), *call,
              std::make_unique<MessagesReply>(call, make_reply_head("msg_", model), room,
                                              state.options.stream_period));
}

void count(ServerState& state, HttpCall& http) {
  const int64_t tokens = count_messages_tokens(parse_body(http.request.body), state.context);
  answer_json(http.response, 200, {{"input_tokens", tokens}});
}

}  // namespace

void add_messages_routes(HttpServer& http, ServerState& state) {
  http.route("POST", "/v1/messages", [&](HttpCall& call) { answer(state, call); });
  http.route("POST", "/v1/messages/count_tokens", [&](HttpCall& call) { count(state, call); });
}

}  // namespace fettle::serve
