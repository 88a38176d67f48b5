#include "feedback/answer_store.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <thread>

#include "base/folder.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/json.h"
#include "base/open_file.h"

namespace fettle::feedback {
namespace {

constexpr int store_format = 1;
constexpr int patience_ms = 60'000;  // for other processes

OrderedJson reply_to_json(const ChatReply& reply) {
  OrderedJson choices = OrderedJson::array();
  for (const ChatChoice& choice : reply.choices) {
    OrderedJson logprobs = OrderedJson::array();
    for (const ChatTokenLogProb& token : choice.logprobs) {
      OrderedJson top = OrderedJson::array();
      for (const auto& [text, logp] : token.top) top.push_back({text, logp});
      logprobs.push_back({token.token, token.logp, std::move(top)});
    }
    choices.push_back({{"text", choice.text}, {"finish_reason", choice.finish_reason}, {"logprobs", std::move(logprobs)}});
  }
  return {{"model", reply.model}, {"choices", std::move(choices)}, {"prompt_tokens", reply.prompt_tokens}, {"completion_tokens", reply.completion_tokens}};
}

ChatReply reply_from_json(const Json& json) {
  ChatReply reply;
  reply.model = json.at("model");
  reply.prompt_tokens = json.at("prompt_tokens");
  reply.completion_tokens = json.at("completion_tokens");
  for (const Json& from : json.at("choices")) {
    ChatChoice& choice = reply.choices.emplace_back();
    choice.text = from.at("text");
    choice.finish_reason = from.at("finish_reason");
    for (const Json& token : from.at("logprobs")) {
      ChatTokenLogProb& into = choice.logprobs.emplace_back();
      into.token = token.at(0);
      into.logp = token.at(1);
      for (const Json& other : token.at(2)) into.top.emplace_back(other.at(0), other.at(1));
    }
  }
  return reply;
}

/// The file with its rights before SQLite opens it, which would make it readable for others.
void make_private(const fs::path& file) {
  make_folders(file.parent_path());
  const int descriptor = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (descriptor < 0) fail_io(file.string(), "cannot open");
  ::close(descriptor);
}

}  // namespace

std::string answer_key(const std::string& model, const std::string& revision, const Messages& messages, const ChatOptions& options, int64_t draw) {
  const SamplingOptions& s = options.sampling;
  OrderedJson said = OrderedJson::array();
  for (const Message& message : messages) said.push_back({message.role, message.content, message.extra});
  OrderedJson bias = OrderedJson::array();
  for (const auto& [token, value] : s.logit_bias) bias.push_back({token, value});
  const OrderedJson whole = {store_format, model, revision, std::move(said),
                             {s.temperature, s.top_p, s.top_k, s.min_p, s.repetition_penalty, s.presence_penalty, s.frequency_penalty, s.seed, std::move(bias)},
                             {options.max_tokens, options.stop, options.n, options.logprobs, options.top_logprobs, options.raw},
                             OrderedJson::parse(options.template_variables.dump()), OrderedJson::parse(options.extra.dump()), draw};
  return sha256_hex(dump_json(whole));
}

struct AnswerStore::Impl {
  fs::path file;
  std::mutex mutex;
  sqlite3* database = nullptr;
  sqlite3_stmt *look = nullptr, *insert = nullptr, *count = nullptr;

  explicit Impl(const fs::path& path) : file(path) {
    make_private(file);
    try {
      open();
    } catch (...) {
      close();
      throw;
    }
  }
  ~Impl() { close(); }

  void open() {
    check(sqlite3_open_v2(file.c_str(), &database, SQLITE_OPEN_READWRITE | SQLITE_OPEN_FULLMUTEX, nullptr));
    sqlite3_busy_timeout(database, patience_ms);
    run("PRAGMA journal_mode = WAL");
    run("PRAGMA synchronous = FULL");
    run("CREATE TABLE IF NOT EXISTS answers (key TEXT PRIMARY KEY, reply TEXT NOT NULL, sum TEXT NOT NULL) WITHOUT ROWID");
    prepare("SELECT reply, sum FROM answers WHERE key = ?1", look);
    prepare("INSERT OR REPLACE INTO answers VALUES (?1, ?2, ?3)", insert);
    prepare("SELECT COUNT(*) FROM answers", count);
  }

  void close() {
    for (sqlite3_stmt* statement : {look, insert, count}) sqlite3_finalize(statement);
    sqlite3_close(database);
  }

  void check(int code) {
    if (code == SQLITE_OK || code == SQLITE_ROW || code == SQLITE_DONE) return;
    const std::string reason = database != nullptr ? sqlite3_errmsg(database) : sqlite3_errstr(code);
    if (code == SQLITE_NOMEM) throw std::bad_alloc();
    if (code == SQLITE_CORRUPT || code == SQLITE_NOTADB)
      fail(file.string(), "is no store of answers, or a damaged one ({}); move it away, and what it held is asked for again", reason);
    throw Error(Error::Kind::io, fmt::format("{}: the store of answers: {}", file.string(), reason));
  }
  /// SQLite does not wait for others by itself when two open a new file at once.
  void run(const char* statement) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::milliseconds(patience_ms);
    for (;;) {
      const int code = sqlite3_exec(database, statement, nullptr, nullptr, nullptr);
      if (code != SQLITE_BUSY || std::chrono::steady_clock::now() > end) return check(code);
      throw_if_interrupted();
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  }
  void prepare(const char* text, sqlite3_stmt*& statement) { check(sqlite3_prepare_v2(database, text, -1, &statement, nullptr)); }

  /// A statement in use: its bindings are gone when this ends.
  struct Use {
    Impl& impl;
    sqlite3_stmt* statement;
    Use(Impl& owner, sqlite3_stmt* which) : impl(owner), statement(which) {}
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;
    ~Use() {
      sqlite3_reset(statement);
      sqlite3_clear_bindings(statement);
    }
    void bind(int index, const std::string& text) {
      impl.check(sqlite3_bind_text64(statement, index, text.data(), text.size(), SQLITE_STATIC, SQLITE_UTF8));
    }
    int step() {
      const int code = sqlite3_step(statement);
      impl.check(code);
      return code;
    }
    std::string text(int column) {
      const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement, column));
      return bytes == nullptr ? std::string() : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement, column)));
    }
  };
};

AnswerStore::AnswerStore(const fs::path& file) : impl_(std::make_unique<Impl>(file)) {}
AnswerStore::~AnswerStore() = default;

std::optional<ChatReply> AnswerStore::find(const std::string& key) {
  std::string reply, sum;
  {
    const std::lock_guard lock(impl_->mutex);
    Impl::Use use(*impl_, impl_->look);
    use.bind(1, key);
    if (use.step() != SQLITE_ROW) return std::nullopt;
    reply = use.text(0);
    sum = use.text(1);
  }
  if (hash_hex(reply) != sum) return std::nullopt;
  return reply_from_json(parse_json(reply, impl_->file.string()));
}

void AnswerStore::put(const std::string& key, const ChatReply& reply) {
  const std::string text = dump_json(reply_to_json(reply)), sum = hash_hex(text);
  const std::lock_guard lock(impl_->mutex);
  Impl::Use use(*impl_, impl_->insert);
  use.bind(1, key);
  use.bind(2, text);
  use.bind(3, sum);
  use.step();
}

int64_t AnswerStore::size() {
  const std::lock_guard lock(impl_->mutex);
  Impl::Use use(*impl_, impl_->count);
  use.step();
  return sqlite3_column_int64(use.statement, 0);
}

fs::path answer_store_path() { return cache_folder() / "answers.sqlite"; }

}  // namespace fettle::feedback
