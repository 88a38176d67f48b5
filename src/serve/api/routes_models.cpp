// GET /v1/models, and adapters while serving.
#include "base/log.h"
#include "serve/api/server_state.h"

namespace fettle::serve {
namespace {

/// Reading any folder of the machine is not for everybody who can reach the port.
void need_keys(const ServerState& state) {
  if (state.options.api_keys.empty())
    throw ApiError(403, "keys_needed", "",
                   "adapters are changed only on a server with API keys (--api-keys-file)");
}

void load(ServerState& state, HttpCall& http) {
  need_keys(state);
  const OrderedJson body = parse_body(http.request.body);
  BodyFields fields(body);
  const std::string name = fields.required_text("name"), path = fields.required_text("path");
  fields.finish();
  state.models.load(name, path);
  log_info("adapter {} loaded from {}", name, path);
  answer_json(http.response, 201, *state.models.entry(name));
}

void unload(ServerState& state, HttpCall& http) {
  need_keys(state);
  if (!state.models.unload(http.name))
    throw ApiError(404, "model_not_found", "",
                   fmt::format("there is no adapter `{}`", http.name.substr(0, 200)));
  log_info("adapter {} unloaded", http.name);
  answer_json(http.response, 200, {{"id", http.name}, {"object", "model"}, {"deleted", true}});
}

/// vLLM's request for the same, answered in its words. `load_inplace`: the name's adapter is exchanged, as
/// online training does after every few steps.
void load_lora(ServerState& state, HttpCall& http) {
  need_keys(state);
  const OrderedJson body = parse_body(http.request.body);
  BodyFields fields(body);
  const std::string name = fields.required_text("lora_name"), path = fields.required_text("lora_path");
  const bool replace = fields.boolean("load_inplace", false);
  fields.ignore({"base_model_name", "lora_int_id"});
  fields.finish();
  state.models.load(name, path, replace);
  log_info("adapter {} loaded from {}", name, path);
  http.response.status = 200;
  http.response.set_content(fmt::format("Success: LoRA adapter '{}' added successfully.", name),
                            "text/plain");
}

void unload_lora(ServerState& state, HttpCall& http) {
  need_keys(state);
  const OrderedJson body = parse_body(http.request.body);
  BodyFields fields(body);
  const std::string name = fields.required_text("lora_name");
  fields.ignore({"lora_int_id"});
  fields.finish();
  if (!state.models.unload(name))
    throw ApiError(404, "model_not_found", "lora_name",
                   fmt::format("there is no adapter `{}`", name.substr(0, 200)));
  log_info("adapter {} unloaded", name);
  http.response.status = 200;
  http.response.set_content(fmt::format("Success: LoRA adapter '{}' removed successfully.", name),
                            "text/plain");
}

void describe(ServerState& state, HttpCall& http) {
  auto entry = state.models.entry(http.name);
  if (!entry) {
    state.context.resolve(http.name);  // throws 404, unless it is a composition
    entry = *state.models.entry(state.models.name());
    (*entry)["id"] = http.name;
    (*entry)["kind"] = "composition";
    (*entry)["parent"] = state.models.name();
  }
  answer_json(http.response, 200, *entry);
}

}  // namespace

void add_model_routes(HttpServer& http, ServerState& state) {
  http.route("GET", "/v1/models",
             [&](HttpCall& call) { answer_json(call.response, 200, state.models.list()); });
  http.route("GET", "/v1/models/", [&](HttpCall& call) { describe(state, call); });
  http.route("GET", "/v1/adapters",
             [&](HttpCall& call) { answer_json(call.response, 200, state.models.adapters()); });
  http.route("POST", "/v1/adapters", [&](HttpCall& call) { load(state, call); });
  http.route("POST", "/v1/load_lora_adapter", [&](HttpCall& call) { load_lora(state, call); });
  http.route("POST", "/v1/unload_lora_adapter", [&](HttpCall& call) { unload_lora(state, call); });
  http.route("DELETE", "/v1/adapters/", [&](HttpCall& call) { unload(state, call); });
}

}  // namespace fettle::serve
