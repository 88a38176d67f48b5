// POST /v1/responses, and what it stored.
#include "serve/api/answering.h"
#include "serve/api/responses_reply.h"

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

/// /v1/responses/ID/input_items, /cancel and what else OpenAI's service has below a response.
void refuse_part(const HttpCall& http) {
  const size_t slash = http.name.find('/');
  if (slash == std::string::npos) return;
  const std::string part = http.name.substr(slash + 1);
  throw ApiError(501, "not_supported", "",
                 fmt::format("'{}' of a response is not supported: this server keeps the last responses in memory, whole, for GET and DELETE "
                             "/v1/responses/ID and previous_response_id, and has no list of their input and nothing that runs in the background",
                             part.substr(0, 60)));
}

void show(ServerState& state, HttpCall& http) {
  refuse_part(http);
  if (http.request.parameter("stream") == "true")
    fail_unsupported("stream", "a stored response is given whole");
  const auto found = state.responses.find(http.name);
  if (!found) throw unknown(http.name);
  answer_json(http.response, 200, *found);
}

void remove(ServerState& state, HttpCall& http) {
  refuse_part(http);
  if (!state.responses.remove(http.name)) throw unknown(http.name);
  answer_json(http.response, 200, {{"id", http.name}, {"object", "response"}, {"deleted", true}});
}

}  // namespace

void add_responses_routes(HttpServer& http, ServerState& state) {
  http.route("POST", "/v1/responses", [&](HttpCall& call) { respond(state, call); });
  http.route("GET", "/v1/responses/", [&](HttpCall& call) { show(state, call); });
  http.route("POST", "/v1/responses/", [](HttpCall& call) {
    refuse_part(call);
    throw ApiError(501, "not_supported", "",
                   fmt::format("POST /v1/responses/{} is not supported; there is POST /v1/responses", call.name.substr(0, 60)));
  });
  http.route("DELETE", "/v1/responses/", [&](HttpCall& call) { remove(state, call); });
}

}  // namespace fettle::serve
