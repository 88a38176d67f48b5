// GET /health, /ping, /version and /metrics.
#include "serve/api/server_state.h"

namespace fettle::serve {
namespace {

Json health(const ServerState& state) {
  const EngineStats stats = state.engine.stats();
  return {{"status", "ok"},
          {"model", state.models.name()},
          {"max_model_len", state.context.context},
          {"running", stats.running},
          {"queued", stats.queued},
          {"keys", !state.options.api_keys.empty()},
          {"arena", state.votes != nullptr},
          {"tools", state.context.tools.has_value()}};
}

std::string metrics(const HttpServer& http, const ServerState& state) {
  std::string out;
  state.metrics.write(out);
  const EngineStats s = state.engine.stats();
  const HttpServer::Load load = http.load();
  struct Row {
    const char *type, *name, *help;
    int64_t value;
  };
  const Row rows[] = {
      {"gauge", "fettle_requests_running", "Answers computed in a step.", s.running},
      {"gauge", "fettle_requests_queued", "Requests that wait for room.", s.queued},
      {"counter", "fettle_requests_total", "Requests that the engine took.", s.requests},
      {"counter", "fettle_requests_finished_total", "Requests answered whole.", s.finished},
      {"counter", "fettle_requests_cancelled_total", "Requests whose client left.", s.cancelled},
      {"counter", "fettle_requests_failed_total", "Requests that failed inside the engine.", s.failed},
      {"counter", "fettle_prompt_tokens_total", "Tokens of prompts.", s.prompt_tokens},
      {"counter", "fettle_cached_prompt_tokens_total", "Tokens of prompts that the prefix cache spared.",
       s.cached_prompt_tokens},
      {"counter", "fettle_generated_tokens_total", "Tokens generated.", s.generated_tokens},
      {"counter", "fettle_preemptions_total", "Answers that gave their memory back and were computed again.",
       s.preemptions},
      {"counter", "fettle_steps_total", "Batches run.", s.steps},
      {"gauge", "fettle_kv_bytes", "Memory for keys and values.", s.kv_bytes},
      {"gauge", "fettle_kv_pages", "Pages of keys and values.", s.pages},
      {"gauge", "fettle_kv_pages_used", "Pages held by answers.", s.pages_used},
      {"gauge", "fettle_kv_pages_cached", "Free pages whose content may be used again.", s.pages_cached},
      {"gauge", "fettle_http_connections", "Open connections.", load.connections},
      {"gauge", "fettle_http_requests_active", "Requests that are read or answered.", load.active},
      {"counter", "fettle_http_refused_total", "Connections closed with 408, 431 or 503.", load.refused},
      {"gauge", "fettle_resident_bytes", "Memory that this process has in use.", resident_bytes()}};
  for (const Row& row : rows) write_metric(out, row.type, row.name, row.help, static_cast<double>(row.value));
  return out;
}

}  // namespace

void add_state_routes(HttpServer& http, ServerState& state) {
  http.route("GET", "/health", [&](HttpCall& call) { answer_json(call.response, 200, health(state)); });
  const auto ping = [](HttpCall& call) { answer_json(call.response, 200, Json::object()); };
  http.route("GET", "/ping", ping);
  http.route("POST", "/ping", ping);
  http.route("GET", "/version", [](HttpCall& call) {
    answer_json(call.response, 200, {{"version", FETTLE_VERSION}});
  });
  http.route("GET", "/metrics", [&](HttpCall& call) {
    call.response.status = 200;
    call.response.set_content(metrics(http, state), "text/plain; version=0.0.4");
  });
}

}  // namespace fettle::serve
