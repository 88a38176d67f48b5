#include <algorithm>
#include <cstdlib>

#include "base/file.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "cli/command.h"
#include "cli/key_options.h"
#include "serve/http/api_keys.h"
#include "serve/server.h"
#include "verbs/generation.h"

namespace fettle::cli {
namespace {

struct ServeState {
  verbs::ModelChoice model;
  verbs::EngineChoice engine;
  serve::ServeOptions options;
  std::vector<std::string> adapters;
  std::string keys_file, chat_template, votes, log_file, tls_certificate, tls_key;
  double timeout = 0.0, body_megabytes = 16.0;
  bool no_votes = false, no_prefix_cache = false;
};

/// "name=path" of --adapter; a path alone is an adapter that every request gets.
void read_adapters(ServeState& state) {
  for (const std::string& text : state.adapters) {
    const size_t equals = text.find('=');
    if (equals == std::string::npos) {
      if (!state.model.adapter.empty()) fail_usage("serve: more than one --adapter without a name; write NAME=PATH");
      state.model.adapter = text;
    } else if (!state.options.adapters.try_emplace(text.substr(0, equals), text.substr(equals + 1)).second) {
      fail_usage("serve: two adapters are named '{}'", text.substr(0, equals));
    }
  }
}

void read_keys(ServeState& state) {
  std::vector<std::string> keys;
  const auto add = [&](const std::vector<std::string>& more) { keys.insert(keys.end(), more.begin(), more.end()); };
  for (const std::string& given : state.options.api_keys) add(serve::read_keys(given, "--api-keys", true));
  if (!state.keys_file.empty()) add(serve::read_keys_file(state.keys_file));
  if (const char* variable = std::getenv("FETTLE_API_KEYS"); variable != nullptr)
    add(serve::read_keys(variable, "$FETTLE_API_KEYS", true));
  state.options.api_keys = std::move(keys);
}

/// The default needs a home folder, and a server does not.
fs::path votes_file(const ServeState& state) {
  if (state.no_votes) return {};
  if (!state.votes.empty()) return state.votes;
  try {
    return cache_folder() / "votes.sqlite";
  } catch (const Error& error) {
    log_warning("the arena keeps no votes: {} (--votes FILE)", error.what());
    return {};
  }
}

void warn_of_readable_secrets(const ServeState& state) {
  const serve::ServeOptions& o = state.options;
  for (const fs::path& path : {fs::path(state.keys_file), o.http.tls_key, o.votes, o.log.path}) {
    if (const std::string warning = serve::secret_file_warning(path); !warning.empty()) log_warning("{}", warning);
  }
}

void run_serve(ServeState& state) {
  read_adapters(state);
  read_keys(state);
  serve::ServeOptions& o = state.options;
  const int32_t max_queued = o.engine.max_queued;
  o.engine = state.engine.options();
  o.engine.max_queued = max_queued;
  o.engine.prefix_cache = !state.no_prefix_cache;
  o.http.tls_certificate = state.tls_certificate;
  o.http.tls_key = state.tls_key;
  o.log.path = state.log_file;
  o.http.head.body = static_cast<uint64_t>(state.body_megabytes * 1048576.0);
  o.timeout = std::chrono::milliseconds(static_cast<int64_t>(state.timeout * 1e3));
  if (!state.chat_template.empty())
    o.chat_template = fs::exists(state.chat_template) ? read_file(state.chat_template, 1 << 20) : state.chat_template;
  o.votes = votes_file(state);
  warn_of_readable_secrets(state);
  const auto model = state.model.open();
  serve::Server server(*model, std::move(o));
  server.bind();
  for (const std::string& note : server.notes()) log_info("{}", note);
  server.run(interrupted);
}

void add_http_flags(CLI::App& command, ServeState& state) {
  serve::HttpOptions& http = state.options.http;
  command.add_option("--host", http.host, "Address to listen on; 0.0.0.0 opens it to the network")->capture_default_str();
  command.add_option("--port", http.port, "0: any free one")->check(CLI::Range(0, 65535))->capture_default_str();
  command.add_option("--api-keys", state.options.api_keys,
                     "Keys of which clients must send one; better: --api-keys-file or $FETTLE_API_KEYS");
  command.add_option("--api-keys-file", state.keys_file, "A file with a key a line")
      ->check([](const std::string& path) { return path.empty() ? "the name of the file is empty" : ""; });
  command.add_option("--allowed-host", state.options.allowed_hosts,
                     "Another name that clients call the server by (this machine's own names and addresses pass)")
      ->allow_extra_args(false);
  command.add_option("--tls-cert", state.tls_certificate, "Certificate chain (PEM)");
  command.add_option("--tls-key", state.tls_key, "Its private key (PEM)");
  command.add_option("--cors-origin", http.cors_origin, "Another origin whose pages may use the server; *: all");
  command.add_option("--max-connections", http.max_connections, "Open connections")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command.add_option("--max-active", http.max_active, "Requests read or answered at once, a thread each")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command.add_option("--max-body", state.body_megabytes, "Largest body of a request, in MB")
      ->check(CLI::Range(0.001, 4096.0))
      ->capture_default_str();
}

void add_model_flags(CLI::App& command, ServeState& state) {
  serve::ServeOptions& o = state.options;
  add_key_options(command, verbs::model_keys(), state.model);
  command.remove_option(command.get_option("--adapter"));
  command.add_option("--adapter", state.adapters,
                     "NAME=PATH: a PEFT adapter that requests ask for by NAME; PATH: one for all")
      ->allow_extra_args(false);
  command.add_option("--name", o.names, "What requests call the model (default: its folder's or file's name)")
      ->allow_extra_args(false);
  command.add_option("--chat-template", state.chat_template, "A Jinja file, or the name of one of the model's templates, instead of its own");
  command.add_option("--model-type", o.model_type, "An OpenChat type, such as openchat_3.5 (default: openchat.json's)");
  command.add_flag("--enable-sys-prompt", o.enable_sys_prompt, "OpenChat types: system messages count");
  command.add_option("--stream-period", o.stream_period, "Pieces of text gathered into one event of a stream")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  add_key_options(command, verbs::engine_keys(), state.engine);
  command.add_option("--max-queued", o.engine.max_queued, "Requests that wait; beyond it 503")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  command.add_option("--max-answers", o.most_answers, "Answers to one request (n times prompts)")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str();
  command.add_option("--timeout", state.timeout, "Longest time of one answer, in seconds; 0: none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  command.add_flag("--no-prefix-cache", state.no_prefix_cache, "Compute every prompt anew");
}

}  // namespace

void add_serve_command(CLI::App& app) {
  auto& command = add_command(
      app, "serve", "Serve a model: OpenAI-compatible API and a chat page on 127.0.0.1:18888",
      "  $ fettle serve --model smollm2-135m-instruct\n"
      "  $ fettle serve --model base --adapter polite=runs/polite --adapter terse=runs/terse\n"
      "  $ fettle serve --model openchat-3.5 --model-type openchat_3.5 --enable-sys-prompt --log-file chats.jsonl\n"
      "  $ fettle serve --model runs/chat --host 0.0.0.0 --api-keys-file keys.txt --tls-cert c.pem --tls-key k.pem\n"
      "  $ curl localhost:18888/v1/chat/completions -d '{\"messages\": \"Who bakes bread?\", \"max_tokens\": 40}'");
  auto state = std::make_shared<ServeState>();
  state->options.engine.max_queued = 256;
  add_model_flags(command, *state);
  add_http_flags(command, *state);
  command.add_option("--log-file", state->log_file, "Requests and answers as JSON lines; rotates");
  command.add_option("--log-max-mb", state->options.log.megabytes, "Size at which the log rotates")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--log-max-count", state->options.log.count, "Old log files that are kept")
      ->check(CLI::Range(0, 10000))
      ->capture_default_str();
  command.add_option("--votes", state->votes, "Where the arena keeps votes (default: votes.sqlite in fettle's cache)");
  command.add_flag("--no-votes", state->no_votes, "Keep none");
  on_run(command, state, run_serve);
}

}  // namespace fettle::cli
