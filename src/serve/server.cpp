#include "serve/server.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/resource.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "base/log.h"
#include "base/mapped_file.h"
#include "model/mapped_parameters.h"
#include "serve/api/server_state.h"
#include "serve/http/own_hosts.h"
#include "text/unicode/unicode.h"

namespace fettle::serve {
namespace {

using Digest = std::array<unsigned char, SHA256_DIGEST_LENGTH>;

Digest digest_of(std::string_view text) {
  Digest digest{};
  SHA256(reinterpret_cast<const unsigned char*>(text.data()), text.size(), digest.data());
  return digest;
}

/// Neither the time of a comparison nor their number says how much of a key was right.
bool is_key(std::string_view text, const std::vector<Digest>& keys) {
  const Digest given = digest_of(text);
  int found = 0;
  for (const Digest& key : keys)
    found |= static_cast<int>(CRYPTO_memcmp(given.data(), key.data(), key.size()) == 0);
  return found != 0;
}

/// The key of "Bearer KEY"; a scheme's case says nothing (RFC 9110).
std::string_view bearer_of(std::string_view authorization) {
  constexpr std::string_view scheme = "bearer";
  const auto same = [](char a, char b) { return std::tolower(static_cast<unsigned char>(a)) == b; };
  if (!std::ranges::equal(authorization.substr(0, scheme.size()), scheme, same)) return {};
  const std::string_view rest = authorization.substr(scheme.size());
  const size_t key = rest.find_first_not_of(' ');
  return key == 0 || key == std::string_view::npos ? std::string_view() : rest.substr(key);
}

std::vector<std::string> names_of(const ServeOptions& options, OpenModel& model,
                                  const OpenChatType* type) {
  std::vector<std::string> names = options.names;
  if (names.empty()) {
    fs::path path = model.loaded().path;
    if (path.filename().empty()) path = path.parent_path();
    names.push_back(fs::is_directory(path) ? path.filename().string() : path.stem().string());
  }
  if (type != nullptr) {
    // OpenChat's clients ask for the type, not for the folder.
    names.push_back(type->name);
    names.insert(names.end(), type->aliases.begin(), type->aliases.end());
  }
  return names;
}

std::shared_ptr<const ChatTemplate> template_of(const OpenModel& model, const std::string& source) {
  const Tokenizer& tokenizer = *model.tokenizer();
  try {
    if (source.find('{') == std::string::npos)
      return std::make_shared<ChatTemplate>(ChatTemplate::of(tokenizer, source));
  } catch (const Error& error) {
    if (error.kind() == Error::Kind::usage) throw;
    log_warning(
        "{}; a conversation is given to it as its texts, one a line (--chat-template FILE gives it a "
        "template)",
        error.what());
    return nullptr;
  }
  Json special = Json::object();
  if (tokenizer.bos() >= 0) special["bos_token"] = tokenizer.token(tokenizer.bos());
  if (tokenizer.eos() >= 0) special["eos_token"] = tokenizer.token(tokenizer.eos());
  return std::make_shared<ChatTemplate>(source, special, "--chat-template");
}

const OpenChatType* type_of(const ServeOptions& options, OpenModel& model) {
  if (options.model_type.empty()) return openchat_type_of(model.loaded().path);
  return &openchat_type(options.model_type);
}

/// Special tokens that a grammar may spell.
std::vector<std::string> spelled_marks() {
  std::vector<std::string> marks = tool_marks();
  for (std::string& mark : all_thought_marks()) marks.push_back(std::move(mark));
  return marks;
}

}  // namespace

ServerState::ServerState(OpenModel& m, ServeOptions o)
    : options(std::move(o)),
      model(m),
      engine(model, options.engine),
      models(engine, model.decoder().config(), model.tokenizer()->size(),
             names_of(options, model, type_of(options, model)),
             type_of(options, model) ? "openchat" : "fettle"),
      grammars(*model.tokenizer(), model.decoder().config().vocab_size, ends_of(model), spelled_marks()),
      thread(engine) {
  context.tokenizer = model.tokenizer();
  const SamplingDefaults defaults = model.sampling_defaults();
  context.sampling = defaults.sampling;
  context.openchat = type_of(options, model);
  context.system_prompts = options.enable_sys_prompt;
  if (!context.openchat) {
    context.chat = template_of(model, options.chat_template);
    if (context.chat != nullptr) {
      context.tools = tool_format_of(context.chat->tool_source());
      context.thoughts = thought_marks_of(context.chat->source(), *context.tokenizer);
    }
  } else {
    openchat_end_of_turn(*context.openchat, *context.tokenizer);  // says at once when the tokenizer lacks it
    if (!defaults.from_model) context.sampling.temperature = 0.7F;  // as OpenChat's own server
  }
  context.vocabulary = model.decoder().config().vocab_size;
  context.ends = ends_of(model);
  context.context = engine.context_length();
  context.longest = options.timeout;
  context.most_answers = options.most_answers;
  context.resolve = [this](const std::string& name) { return models.resolve(name); };
  context.grammars = &grammars;
  if (!options.log.path.empty()) log = std::make_unique<RequestLog>(options.log);
  if (!options.votes.empty()) votes = std::make_unique<Votes>(options.votes);
  models.show_sampling(context.sampling);
  for (const auto& [name, path] : options.adapters) models.load(name, path);
}

struct Server::Impl {
  Impl(OpenModel& model, ServeOptions options)
      : state(model, std::move(options)), http(state.options.http), hosts(state.options.http.host, state.options.allowed_hosts) {
    for (const std::string& key : state.options.api_keys) keys.push_back(digest_of(key));
    http.set_guard([this](const RequestHead& head) { guard(head); });
    http.set_observer([this](const std::string& method, const std::string& route, int status, double) {
      state.metrics.request(method, route, status);
    });
    add_completion_routes(http, state);
    add_responses_routes(http, state);
    add_messages_routes(http, state);
    add_text_routes(http, state);
    add_model_routes(http, state);
    add_arena_routes(http, state);
    add_state_routes(http, state);
    add_page_routes(http);
  }

  void guard(const RequestHead& head) const {
    check_browser(head);
    if (keys.empty() || head.method == "OPTIONS") return;
    const std::string path = head.target.substr(0, head.target.find('?'));
    if (head.method == "GET" && (path == "/health" || is_page(path))) return;
    const bool known = is_key(bearer_of(head.authorization), keys) || (!head.api_key.empty() && is_key(head.api_key, keys));
    if (!known)
      throw ApiError(401, "invalid_api_key", "",
                     "Incorrect API key provided; send Authorization: Bearer KEY or x-api-key: KEY.");
  }

  /// A page from elsewhere must not use a person's browser to reach a server that this person can reach.
  void check_browser(const RequestHead& head) const {
    const HttpOptions& o = state.options.http;
    if (!head.host.empty() && !hosts.has(head.host, head.local_address)) {
      const std::string name = unicode::lossy(head.host.substr(0, 255));
      throw ApiError(403, "forbidden_host", "",
                     fmt::format("this server does not answer to the name '{0}'; start it with --allowed-host {0}", name));
    }
    if (head.origin.empty() || head.method == "GET" || head.method == "HEAD" || head.method == "OPTIONS")
      return;
    if (o.cors_origin == "*" || o.cors_origin == head.origin) return;
    const size_t scheme = head.origin.find("://");
    if (scheme == std::string::npos || head.origin.substr(scheme + 3) != head.host)
      throw ApiError(403, "forbidden_origin", "",
                     "pages of another origin are not served; allow one with --cors-origin");
  }

  ServerState state;
  HttpServer http;
  const OwnHosts hosts;
  std::vector<Digest> keys;
  int port = 0;
};

Server::Server(OpenModel& model, ServeOptions options)
    : impl_(std::make_unique<Impl>(model, std::move(options))) {}
Server::~Server() = default;

int Server::bind() {
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
  }
  impl_->port = impl_->http.bind();
  return impl_->port;
}

void Server::run(const std::function<bool()>& ended) {
  MappedMemory files;
  watch(files, impl_->state.model.loaded().parameters);
  std::string broken;
  auto looked = std::chrono::steady_clock::now();
  impl_->http.run([&] {
    if (ended()) return true;
    const auto now = std::chrono::steady_clock::now();
    if (now - looked < std::chrono::seconds(1)) return false;
    looked = now;
    try {
      files.check();
    } catch (const Error& error) {
      broken = error.what();
    }
    return !broken.empty();
  });
  if (!broken.empty()) throw Error(Error::Kind::io, fmt::format("serve: {}: {}", impl_->state.models.name(), broken));
}

std::vector<std::string> Server::notes() const {
  const ServeOptions& o = impl_->state.options;
  const bool tls = !o.http.tls_certificate.empty();
  std::vector<std::string> notes{fmt::format("{} is served at http{}://{}:{}", impl_->state.models.name(),
                                             tls ? "s" : "", o.http.host, impl_->port)};
  const EngineStats stats = impl_->state.engine.stats();
  notes.push_back(fmt::format("context {} tokens, {:.0f} MB for keys and values, {} answers at once",
                              impl_->state.context.context, static_cast<double>(stats.kv_bytes) / 1e6,
                              o.engine.max_running));
  if (impl_->state.context.openchat)
    notes.push_back(
        fmt::format("prompts as OpenChat's type {} has them", impl_->state.context.openchat->name));
  for (const std::string& key : impl_->state.model.sampling_defaults().ignored)
    notes.push_back(fmt::format("warning: generation_config.json: {} has no effect here", key));
  if (o.api_keys.empty() && !is_loopback(o.http.host))
    notes.push_back(
        "warning: without API keys everybody who reaches this address can use the model (--api-keys-file)");
  if (!o.api_keys.empty() && !tls && !is_loopback(o.http.host))
    notes.push_back("warning: without TLS the keys travel in the open (--tls-cert, --tls-key)");
  return notes;
}

}  // namespace fettle::serve
