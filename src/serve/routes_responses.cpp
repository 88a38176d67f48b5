// POST /v1/responses, and what it stored.
#include "serve/answering.h"
#include "serve/responses_reply.h"

namespace fettle::serve {
namespace {

void respond(ServerState& state, HttpCall& http) {
  OrderedJson body = parse_body(http.request.body);
  const auto call =
      std::make_shared<const ResponsesCall>(decode_responses(body, state.context, state.responses));
  const auto keep = [&state, call](const Json& response) {
    if (!call->store) return;
    OrderedJson items = call->items;
    for (const Json& item : response["output"]) items.push_back(OrderedJson::parse(dump_json(item)));
    state.responses.add(response, items);
  };
  const std::string& model = call->call.model.empty() ? state.models.name() : call->call.model;
  answer_call(state, http, std::move(body), call->call,
              std::make_unique<ResponsesReply>(call, make_reply_head("resp_", model),
                                               *state.context.tokenizer, state.options.stream_period, keep));
}

ApiError unknown(const std::string& id) {
  return {404, "not_found", "response_id", fmt::format("Response with id '{}' not found.", id.substr(0, 80))};
}

void show(ServerState& state, HttpCall& http) {
  if (http.request.get_param_value("stream") == "true")
    fail_unsupported("stream", "a stored response is given whole");
  const auto found = state.responses.find(http.name);
  if (!found) throw unknown(http.name);
  answer_json(http.response, 200, *found);
}

void remove(ServerState& state, HttpCall& http) {
  if (!state.responses.remove(http.name)) throw unknown(http.name);
  answer_json(http.response, 200, {{"id", http.name}, {"object", "response"}, {"deleted", true}});
}

}  // namespace

void add_responses_routes(HttpServer& http, ServerState& state) {
  http.route("POST", "/v1/responses", [&](HttpCall& call) { respond(state, call); });
  http.route("GET", "/v1/responses/", [&](HttpCall& call) { show(state, call); });
  http.route("DELETE", "/v1/responses/", [&](HttpCall& call) { remove(state, call); });
}

}  // namespace fettle::serve
