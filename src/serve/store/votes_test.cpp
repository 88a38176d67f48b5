#include "serve/store/votes.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <set>

#include "serve/store/request_log.h"

namespace fettle::serve {
namespace {

OrderedJson vote(const std::string& a, const std::string& b, const std::string& choice, const std::string& text = "one") {
  return {{"messages", {{{"role", "user"}, {"content", "hello"}}}},
          {"a", {{"model", a}, {"content", text}}},
          {"b", {{"model", b}, {"content", "two"}}},
          {"vote", choice}};
}

int status_of(Votes& votes, const OrderedJson& body) {
  try {
    votes.add(body);
    return 201;
  } catch (const ApiError& error) {
    return error.status();
  }
}

TEST(Votes, StoresListsCountsAndExports) {
  const TemporaryFolder folder;
  std::string first;
  {
    Votes votes(folder.path() / "votes.sqlite");
    first = votes.add(vote("x", "y", "a"))["id"].get<std::string>();
    votes.add(vote("y", "x", "a"));
    votes.add(vote("x", "y", "tie"));
    votes.add(vote("x", "y", "a", "two"));  // the same text on both sides teaches nothing
  }
  Votes votes(folder.path() / "votes.sqlite");
  const Json page = votes.list(3, "");
  EXPECT_EQ(page["data"].size(), 3u);
  EXPECT_TRUE(page["has_more"].get<bool>());
  const Json rest = votes.list(3, page["data"][2]["id"]);
  ASSERT_EQ(rest["data"].size(), 1u);
  EXPECT_EQ(rest["data"][0]["id"], first);
  EXPECT_EQ(rest["data"][0]["messages"][0]["content"], "hello");
  const Json table = votes.table();
  EXPECT_EQ(table["votes"], 4);
  ASSERT_EQ(table["pairs"].size(), 1u);
  EXPECT_EQ(table["pairs"][0]["a_wins"], 2);
  EXPECT_EQ(table["pairs"][0]["b_wins"], 1);
  EXPECT_DOUBLE_EQ(table["pairs"][0]["a_win_rate"], 2.5 / 4);
  const std::string rows = votes.export_rows();
  const Json row = Json::parse(rows.substr(0, rows.find('\n')));
  EXPECT_EQ(row["chosen"][0]["content"], "one");
  EXPECT_EQ(row["rejected_model"], "y");
  EXPECT_EQ(std::ranges::count(rows, '\n'), 2);
  EXPECT_TRUE(votes.remove(first));
  EXPECT_FALSE(votes.remove(first));
}

TEST(Votes, RefusesWhatIsNoVote) {
  const TemporaryFolder folder;
  Votes votes(folder.path() / "votes.sqlite");
  EXPECT_EQ(status_of(votes, vote("x", "y", "c")), 400);
  EXPECT_EQ(status_of(votes, vote("", "y", "a")), 400);
  OrderedJson extra = vote("x", "y", "a");
  extra["colour"] = 1;
  EXPECT_EQ(status_of(votes, extra), 400);
  OrderedJson answered = vote("x", "y", "a");
  answered["messages"].push_back({{"role", "assistant"}, {"content", "no"}});
  EXPECT_EQ(status_of(votes, answered), 400);
  EXPECT_EQ(votes.table()["votes"], 0);
}

TEST(Votes, WhatWasAnsweredAsStoredOutlivesAKill) {
  const TemporaryFolder folder;
  int pipes[2];
  ASSERT_EQ(pipe(pipes), 0);
  const pid_t child = fork();
  if (child == 0) {
    Votes votes(folder.path() / "votes.sqlite");
    for (;;) {
      const std::string id = votes.add(vote("x", "y", "a"))["id"].get<std::string>() + "\n";
      if (write(pipes[1], id.data(), id.size()) < 0) _exit(1);
    }
  }
  close(pipes[1]);
  std::string stored;
  char piece[256];
  while (stored.size() < 40 * 22) {
    const ssize_t got = read(pipes[0], piece, sizeof piece);
    ASSERT_GT(got, 0);
    stored.append(piece, static_cast<size_t>(got));
  }
  kill(child, SIGKILL);
  for (ssize_t got = 0; (got = read(pipes[0], piece, sizeof piece)) > 0;) stored.append(piece, static_cast<size_t>(got));
  close(pipes[0]);
  waitpid(child, nullptr, 0);
  Votes votes(folder.path() / "votes.sqlite");
  std::set<std::string> kept;
  const std::string rows = votes.export_rows();
  for (size_t at = 0; at < rows.size(); at = rows.find('\n', at) + 1)
    kept.insert(Json::parse(rows.substr(at, rows.find('\n', at) - at))["id"].get<std::string>());
  for (size_t at = 0; stored.find('\n', at) != std::string::npos; at = stored.find('\n', at) + 1)
    EXPECT_TRUE(kept.contains(stored.substr(at, stored.find('\n', at) - at)));
}

/// What went wrong when a vote was given; empty: it is stored.
std::string refusal_of(Votes& votes) {
  try {
    votes.add(vote("x", "y", "a"));
    return "";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::io);
    return error.what();
  }
}

TEST(Votes, AFileThatIsNoLongerInItsPlaceTakesNoVote) {
  for (const std::string ending : {"", "-wal", "-shm"}) {
    for (const bool replaced : {false, true}) {
      const TemporaryFolder folder;
      const fs::path path = folder.path() / "votes.sqlite", struck = path.string() + ending, aside = folder.path() / "aside";
      Votes votes(path);
      votes.add(vote("x", "y", "a"));
      fs::rename(struck, aside);
      if (replaced) write_file(struck, read_file(aside));
      const std::string why = refusal_of(votes);
      EXPECT_NE(why.find(struck.string()), std::string::npos) << why;
      EXPECT_NE(why.find(replaced ? "replaced" : "removed"), std::string::npos) << why;
      EXPECT_THROW(votes.table(), Error);
      fs::rename(aside, struck);
      EXPECT_EQ(refusal_of(votes), "") << "it is back";
      EXPECT_EQ(votes.table()["votes"], 2);
    }
  }
}

TEST(Votes, AreTheirOwnersAlone) {
  const TemporaryFolder folder;
  const mode_t before = umask(022);
  Votes votes(folder.path() / "votes.sqlite");
  votes.add(vote("x", "y", "a"));
  umask(before);
  for (const char* ending : {"", "-wal", "-shm"}) {
    struct stat info {};
    ASSERT_EQ(::stat((folder.path() / ("votes.sqlite" + std::string(ending))).c_str(), &info), 0) << ending;
    EXPECT_EQ(info.st_mode & 0777U, 0600U) << ending;
  }
}

TEST(RequestLog, RotatesWithinItsBounds) {
  const TemporaryFolder folder;
  const fs::path path = folder.path() / "log.jsonl";
  RequestLog log({path, 1, 2});
  const std::string text(300000, 'x');
  for (int i = 0; i < 14; ++i) log.add({{"number", i}, {"text", text}});
  EXPECT_TRUE(fs::exists(path) && fs::exists(path.string() + ".1") && fs::exists(path.string() + ".2"));
  EXPECT_FALSE(fs::exists(path.string() + ".3"));
  for (const auto& file : fs::directory_iterator(folder.path())) EXPECT_LE(file.file_size(), uint64_t{1} << 20);
  const std::string last = read_file(path);
  EXPECT_EQ(Json::parse(last.substr(last.rfind('\n', last.size() - 2) + 1))["number"], 13);
}

}  // namespace
}  // namespace fettle::serve
