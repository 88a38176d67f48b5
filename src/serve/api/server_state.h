#pragma once
// What the routes share. For serve/ alone.
#include <memory>

#include "generate/constrain/token_grammar.h"
#include "generate/open_model.h"
#include "serve/api/completion_request.h"
#include "serve/api/serve_options.h"
#include "serve/http/http_server.h"
#include "serve/models/served_models.h"
#include "serve/store/metrics.h"
#include "serve/store/stored_responses.h"
#include "serve/store/votes.h"

namespace fettle::serve {

struct ServerState {
  ServerState(OpenModel& model, ServeOptions options);

  ServeOptions options;
  OpenModel& model;
  Engine engine;
  ServedModels models;
  TokenGrammars grammars;
  ModelContext context;
  StoredResponses responses;
  Metrics metrics;
  std::unique_ptr<RequestLog> log;
  std::unique_ptr<Votes> votes;
  EngineThread thread;  ///< last: it ends first
};

void add_completion_routes(HttpServer& http, ServerState& state);
void add_responses_routes(HttpServer& http, ServerState& state);
void add_messages_routes(HttpServer& http, ServerState& state);
void add_text_routes(HttpServer& http, ServerState& state);
void add_model_routes(HttpServer& http, ServerState& state);
void add_arena_routes(HttpServer& http, ServerState& state);
void add_state_routes(HttpServer& http, ServerState& state);
void add_page_routes(HttpServer& http);

/// Paths that need no key: the page's files.
bool is_page(const std::string& path);

}  // namespace fettle::serve
