#include "serve/store/votes.h"

#include <sqlite3.h>

#include <chrono>
#include <cmath>
#include <map>
#include <mutex>
#include <random>

#include "base/ordered_json.h"
#include "evaluate/vote_table.h"
#include "serve/store/kept_files.h"
#include "text/chat/message.h"

namespace fettle::serve {
namespace {

constexpr const char* schema =
    "CREATE TABLE IF NOT EXISTS votes (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT UNIQUE NOT NULL, "
    "created INTEGER NOT NULL, messages TEXT NOT NULL, a_model TEXT NOT NULL, a_content TEXT NOT NULL, "
    "b_model TEXT NOT NULL, b_content TEXT NOT NULL, vote TEXT NOT NULL)";

/// A prepared statement; its columns are text or whole numbers.
class Statement {
 public:
  Statement(sqlite3* database, const char* sql) : database_(database) {
    check(sqlite3_prepare_v2(database, sql, -1, &statement_, nullptr));
  }
  ~Statement() { sqlite3_finalize(statement_); }
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  Statement& bind(const std::string& text) {
    check(sqlite3_bind_text(statement_, ++bound_, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT));
    return *this;
  }
  Statement& bind(int64_t number) {
    check(sqlite3_bind_int64(statement_, ++bound_, number));
    return *this;
  }
  /// False at the end.
  bool step() {
    const int result = sqlite3_step(statement_);
    if (result != SQLITE_ROW && result != SQLITE_DONE) check(result);
    return result == SQLITE_ROW;
  }
  std::string text(int column) const {
    const auto* bytes = reinterpret_cast<const char*>(sqlite3_column_text(statement_, column));
    return bytes == nullptr ? std::string() : std::string(bytes, static_cast<size_t>(sqlite3_column_bytes(statement_, column)));
  }
  int64_t number(int column) const { return sqlite3_column_int64(statement_, column); }

 private:
  void check(int result) const {
    if (result != SQLITE_OK) throw Error(Error::Kind::io, fmt::format("votes: {}", sqlite3_errmsg(database_)));
  }
  sqlite3* database_;
  sqlite3_stmt* statement_ = nullptr;
  int bound_ = 0;
};

/// One side of a posted vote.
struct Side {
  std::string model, content;
  Side(const OrderedJson& body, const char* name) {
    if (!body.is_object()) fail_field(name, "must be {{\"model\", \"content\"}}");
    BodyFields fields(body);
    model = fields.required_text("model");
    content = fields.required_text("content");
    fields.finish();
    if (model.empty() || model.size() > 512) fail_field(name, "its model needs a name of at most 512 bytes");
  }
};

std::string checked_messages(const OrderedJson* messages) {
  if (messages == nullptr || !messages->is_array() || messages->empty())
    fail_field("messages", "must be a list of at least one message");
  for (size_t i = 0; i < messages->size(); ++i) {
    try {
      message_from_json((*messages)[i], fmt::format("messages[{}]", i));
    } catch (const Error& error) {
      throw ApiError(400, "invalid_value", "messages", error.what());
    }
  }
  if (messages->back()["role"] != "user") fail_field("messages", "the last one must be the user's");
  return dump_json(*messages);
}

std::string fresh_id() {
  thread_local std::mt19937_64 random{(uint64_t{std::random_device{}()} << 32) ^ std::random_device{}()};
  return fmt::format("vote-{:016x}", random());
}

/// Games of one model, or of one pair seen from its first model.

}  // namespace

struct Votes::Impl {
  explicit Impl(const fs::path& path) {
    make_private_file(path);
    if (sqlite3_open(path.c_str(), &database) != SQLITE_OK) {
      const std::string why = sqlite3_errmsg(database);
      sqlite3_close(database);
      throw Error(Error::Kind::io, fmt::format("{}: cannot keep votes there: {}", path.string(), why));
    }
    sqlite3_busy_timeout(database, 5000);
    try {
      for (const char* sql : {"PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", schema, "SELECT count(*) FROM votes"}) Statement(database, sql).step();
      // Votes stand in the log until it is written back into the file: both must stay where they are.
      files.keep(path);
      for (const char* ending : {"-wal", "-shm"}) {
        if (fs::exists(path.string() + ending)) files.keep(path.string() + ending);
      }
    } catch (const Error& error) {
      sqlite3_close(database);
      throw Error(Error::Kind::io, fmt::format("{}: {}", path.string(), error.what()));
    }
  }
  ~Impl() { sqlite3_close(database); }

  template <typename Use>
  void each(Use use) {
    Statement all(database, "SELECT id, messages, a_model, a_content, b_model, b_content, vote FROM votes ORDER BY number");
    while (all.step()) use(all);
  }

  /// The database, for one caller at a time, and its files still in their places.
  std::unique_lock<std::mutex> lock() {
    std::unique_lock held(mutex);
    files.check();
    return held;
  }

  sqlite3* database = nullptr;
  KeptFiles files;
  std::mutex mutex;
};

Votes::Votes(const fs::path& path) : impl_(std::make_unique<Impl>(path)) {}
Votes::~Votes() = default;

Json Votes::add(const OrderedJson& body) {
  BodyFields fields(body);
  const std::string messages = checked_messages(fields.find("messages"));
  const OrderedJson *first = fields.find("a"), *second = fields.find("b");
  const Side a(first != nullptr ? *first : OrderedJson(), "a");
  const Side b(second != nullptr ? *second : OrderedJson(), "b");
  const std::string vote = fields.required_text("vote");
  if (vote != "a" && vote != "b" && vote != "tie" && vote != "both_bad")
    fail_field("vote", "must be a, b, tie or both_bad");
  fields.finish();
  const std::string id = fresh_id();
  const int64_t created = std::chrono::duration_cast<std::chrono::seconds>(
                              std::chrono::system_clock::now().time_since_epoch()).count();
  const auto lock = impl_->lock();
  Statement(impl_->database,
            "INSERT INTO votes (id, created, messages, a_model, a_content, b_model, b_content, vote) "
            "VALUES (?,?,?,?,?,?,?,?)")
      .bind(id).bind(created).bind(messages).bind(a.model).bind(a.content).bind(b.model).bind(b.content).bind(vote)
      .step();
  impl_->files.check();  // again: it may have gone meanwhile
  return {{"id", id}, {"object", "arena.vote"}, {"created", created}, {"vote", vote}};
}

Json Votes::list(int64_t limit, const std::string& after) const {
  const auto lock = impl_->lock();
  int64_t below = INT64_MAX;
  if (!after.empty()) {
    Statement found(impl_->database, "SELECT number FROM votes WHERE id = ?");
    if (!found.bind(after).step()) throw ApiError(404, "not_found", "after", "there is no such vote");
    below = found.number(0);
  }
  Statement rows(impl_->database,
                 "SELECT id, created, messages, a_model, a_content, b_model, b_content, vote FROM votes "
                 "WHERE number < ? ORDER BY number DESC LIMIT ?");
  rows.bind(below).bind(limit + 1);
  Json data = Json::array();
  bool more = false;
  while (rows.step()) {
    if (static_cast<int64_t>(data.size()) == limit) {
      more = true;
      break;
    }
    data.push_back({{"id", rows.text(0)},
                    {"object", "arena.vote"},
                    {"created", rows.number(1)},
                    {"messages", parse_json(rows.text(2), "the votes' messages")},
                    {"a", {{"model", rows.text(3)}, {"content", rows.text(4)}}},
                    {"b", {{"model", rows.text(5)}, {"content", rows.text(6)}}},
                    {"vote", rows.text(7)}});
  }
  return {{"object", "list"}, {"data", std::move(data)}, {"has_more", more}};
}

bool Votes::remove(const std::string& id) {
  const auto lock = impl_->lock();
  Statement(impl_->database, "DELETE FROM votes WHERE id = ?").bind(id).step();
  impl_->files.check();
  return sqlite3_changes(impl_->database) > 0;
}

std::string Votes::export_rows() const {
  const auto lock = impl_->lock();
  std::string rows;
  impl_->each([&](const Statement& vote) {
    const std::string choice = vote.text(6);
    if ((choice != "a" && choice != "b") || vote.text(3) == vote.text(5)) return;
    const int chosen = choice == "a" ? 2 : 4, rejected = choice == "a" ? 4 : 2;
    const auto answer = [&](int column) {
      return OrderedJson::array({{{"role", "assistant"}, {"content", vote.text(column + 1)}}});
    };
    const OrderedJson row{{"id", vote.text(0)},
                          {"prompt", parse_ordered_json(vote.text(1), "the votes' messages")},
                          {"chosen", answer(chosen)},
                          {"rejected", answer(rejected)},
                          {"chosen_model", vote.text(chosen)},
                          {"rejected_model", vote.text(rejected)}};
    rows += dump_json(row) + "\n";
  });
  return rows;
}

Json Votes::table() const {
  const auto lock = impl_->lock();
  evaluate::VoteTable table;
  impl_->each([&](const Statement& vote) {
    const std::string choice = vote.text(6);
    table.add(vote.text(2), vote.text(4), choice == "a" ? 1 : choice == "b" ? -1 : 0);
  });
  return table.to_json();
}

}  // namespace fettle::serve
