// Votes on pairs of answers.
#include <charconv>

#include "serve/api/server_state.h"

namespace fettle::serve {
namespace {

Votes& votes_of(ServerState& state) {
  if (state.votes == nullptr)
    throw ApiError(404, "not_found", "", "this server keeps no votes (--votes FILE)");
  return *state.votes;
}

int64_t read_limit(const HttpRequest& request) {
  const std::string text = request.parameter("limit", "100");
  int64_t limit = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), limit);
  if (error != std::errc() || end != text.data() + text.size() || limit < 1 || limit > 1000)
    fail_field("limit", "must be between 1 and 1000");
  return limit;
}

}  // namespace

void add_arena_routes(HttpServer& http, ServerState& state) {
  http.route("POST", "/v1/arena/votes", [&](HttpCall& call) {
    answer_json(call.response, 201, votes_of(state).add(parse_body(call.request.body)));
  });
  http.route("GET", "/v1/arena/votes", [&](HttpCall& call) {
    answer_json(call.response, 200,
                votes_of(state).list(read_limit(call.request), call.request.parameter("after")));
  });
  http.route("DELETE", "/v1/arena/votes/", [&](HttpCall& call) {
    if (!votes_of(state).remove(call.name)) throw ApiError(404, "not_found", "", "there is no such vote");
    answer_json(call.response, 200, {{"id", call.name}, {"object", "arena.vote"}, {"deleted", true}});
  });
  http.route("GET", "/v1/arena/votes/export", [&](HttpCall& call) {
    call.response.status = 200;
    call.response.set_header("Content-Disposition", "attachment; filename=\"votes.jsonl\"");
    call.response.set_content(votes_of(state).export_rows(), "application/x-ndjson");
  });
  http.route("GET", "/v1/arena/table",
             [&](HttpCall& call) { answer_json(call.response, 200, votes_of(state).table()); });
}

}  // namespace fettle::serve
