// Token sets on disk: made, found again, damaged, cut short, shared by two processes.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <thread>

#include "base/random.h"
#include "base/threads.h"
#include "data/test_data.h"
#include "data/training/dataset.h"

namespace fettle::data {
namespace {

/// A byte is a token.
class Bytes : public Tokenizer {
 public:
  explicit Bytes(int32_t size = 256) : size_(size) {}
  std::vector<int32_t> encode(std::string_view text, EncodeOptions) const override {
    std::vector<int32_t> ids;
    for (const char c : text) ids.push_back(static_cast<uint8_t>(c));
    return ids;
  }
  Encoding encode_pieces(std::span<const Piece> pieces, PieceOptions) const override {
    Encoding made;
    for (const auto& piece : pieces) {
      for (const int32_t id : encode(piece.text, {})) made.ids.push_back(id);
    }
    return made;
  }
  std::string decode(std::span<const int32_t> ids, bool) const override {
    std::string text;
    for (const int32_t id : ids) text += static_cast<char>(id);
    return text;
  }
  int32_t size() const override { return size_; }
  std::string token(int32_t id) const override { return bytes(id); }
  std::optional<int32_t> id(std::string_view) const override { return std::nullopt; }
  bool is_special(int32_t) const override { return false; }
  std::string bytes(int32_t id) const override { return std::string(1, static_cast<char>(id)); }
  std::string to_json() const override { return {}; }
  GgufVocabulary to_gguf() const override { return {}; }

 private:
  int32_t size_;
};

const Bytes bytes_tokenizer;

TEST(TokenRow, EveryFieldComesBackAndDamageIsSeen) {
  TokenRow row{.id = "id-1", .prompt = {1, 65535}, .chosen = {5, 6, 7, 8}, .rejected = {9}, .weights = {0.0F, 1.0F, 1.0F, 0.25F}, .weight = 0.5F, .desirable = false,
               .group = 3, .conversation = 77, .notes = {1, 2, 3, 4, 1}, .again = true};
  for (const int width : {2, 4}) {
    std::string bytes;
    append_record(row, width, bytes);
    append_copy(12, bytes);
    const auto all = std::as_bytes(std::span(bytes.data(), bytes.size()));
    TokenRecord record;
    size_t size = 0;
    ASSERT_TRUE(read_record(all, width, {}, record, &size));
    EXPECT_EQ(record.row.prompt, row.prompt);
    EXPECT_EQ(record.row.chosen, row.chosen);
    EXPECT_EQ(record.row.rejected, row.rejected);
    EXPECT_EQ(record.row.weights, row.weights);
    EXPECT_EQ(std::tuple(record.row.id, record.row.weight, record.row.desirable, record.row.group, record.row.conversation, record.row.again),
              std::tuple(row.id, row.weight, row.desirable, row.group, row.conversation, row.again));
    EXPECT_EQ(record.row.notes.thoughtless, 4);
    ASSERT_TRUE(read_record(all, width, {1, 3}, record));
    EXPECT_EQ(record.row.chosen, (std::vector<int32_t>{6, 7}));
    EXPECT_EQ(record.row.weights, (std::vector<float>{1.0F, 1.0F}));
    ASSERT_TRUE(read_record(all.subspan(size), width, {}, record));
    EXPECT_EQ(record.copy_of, 12);
    for (size_t i = 0; i < size; ++i) {
      EXPECT_FALSE(read_record(all.first(i), width, {}, record)) << i;
      std::string damaged = bytes.substr(0, size);
      damaged[i] = static_cast<char>(damaged[i] ^ 0x40);
      EXPECT_FALSE(read_record(std::as_bytes(std::span(damaged.data(), damaged.size())), width, {}, record)) << i;
    }
  }
  row.chosen[0] = 65536;
  std::string bytes;
  EXPECT_THROW(append_record(row, 2, bytes), Error);
}

class TokenSets : public ::testing::Test {
 protected:
  // A process that was forked must not wait for the threads of its parent.
  void SetUp() override { set_threads(1); }
  void TearDown() override { set_threads(before_); }

  std::string rows(int count, const std::string& name = "rows.jsonl", int broken_every = 0) const {
    std::string text;
    for (int i = 0; i < count; ++i) {
      if (broken_every > 0 && i % broken_every == 3) text += "not JSON\n";
      text += fmt::format("{{\"id\":\"{}\",\"prompt\":\"question {}\",\"completion\":\"{}\"}}\n", i, i, std::string(static_cast<size_t>(i % 37) + 1, 'x'));
    }
    const auto path = folder_.file(name, text);
    age(path);
    return path;
  }
  /// A file that changed just now is not trusted to stay as it is.
  static void age(const std::string& path) { fs::last_write_time(path, fs::last_write_time(path) - std::chrono::seconds(60)); }

  std::shared_ptr<const TokenizedSet> open(const std::string& path, double weight = 1.0, int64_t part_bytes = 0) const {
    TokenSetOptions options{.tokenize = {.raw = true}, .part_bytes = part_bytes};
    options.cache.folder = folder_.path("cache");
    return sequence_set({{{path}, Format::automatic, {}, weight}}, bytes_tokenizer, nullptr, options);
  }
  fs::path only_set() const {
    const auto all = list_cached_tokens(folder_.path("cache"));
    return all.size() == 1 ? all[0].folder : fs::path();
  }
  static std::string all_of(const TokenizedSet& set) {
    std::string text = set.facts().hash + to_json(set.facts()).dump();
    set.each_record(0, set.size(), [&](int64_t, TokenRow&& row) { text += row.id + "," + bytes_tokenizer.decode(row.chosen, false) + ";"; });
    return text;
  }
  /// What the same rows are without a cache.
  std::string fresh(const std::string& path, double weight = 1.0) const {
    TokenSetOptions options{.tokenize = {.raw = true}};
    options.cache.keep = false;
    return all_of(*sequence_set({{{path}, Format::automatic, {}, weight}}, bytes_tokenizer, nullptr, options));
  }

  Folder folder_;
  int before_ = threads();
};

TEST_F(TokenSets, AreMadeOnceAndFoundAgain) {
  const auto path = rows(500, "rows.jsonl", 50);
  const auto made = open(path);
  EXPECT_EQ(made->size(), 500);
  EXPECT_EQ(all_of(*made), fresh(path));
  const auto written = fs::last_write_time(manifest_path(made->folder()));
  const auto again = open(path);
  EXPECT_EQ(again->folder(), made->folder());
  EXPECT_EQ(fs::last_write_time(manifest_path(made->folder())), written);
  RejectedRows rejected;
  again->replay_rejected({{{path}}}, rejected);
  EXPECT_EQ(rejected.by_reason(), (std::map<std::string, int64_t>{{"not valid JSON", 10}}));
  // Other options, other rows.
  EXPECT_NE(open(path, 0.5)->folder(), made->folder());
  // The same content written anew is the same set; another content is not.
  rows(500, "rows.jsonl", 50);
  EXPECT_EQ(open(path)->folder(), made->folder());
  rows(501, "rows.jsonl", 50);
  EXPECT_EQ(open(path)->size(), 501);
}

TEST_F(TokenSets, AnUnchangedInputIsNotReadAgain) {
  const auto path = rows(50);
  const InputHashes hashes(folder_.path("inputs"));
  fs::create_directories(folder_.path("inputs"));
  const auto hash = hashes.of(path);
  // Behind the back of size, inode and time: a change that the rule cannot see.
  const auto time = fs::last_write_time(path);
  {
    std::fstream file(path, std::ios::in | std::ios::out);
    file.seekp(3);
    file.put('z');
  }
  fs::last_write_time(path, time);
  EXPECT_EQ(hashes.of(path), hash);
  fs::last_write_time(path, time + std::chrono::seconds(1));
  EXPECT_NE(hashes.of(path), hash);
  // Within two seconds of the last change nothing is taken for granted.
  fs::last_write_time(path, fs::file_time_type::clock::now());
  const auto young = hashes.of(path);
  const auto now = fs::last_write_time(path);
  {
    std::fstream file(path, std::ios::in | std::ios::out);
    file.seekp(4);
    file.put('q');
  }
  fs::last_write_time(path, now);
  EXPECT_NE(hashes.of(path), young);
}

TEST_F(TokenSets, RowsThatComeMoreOftenAreStoredOnce) {
  const auto path = rows(300);
  const auto once = open(path), often = open(path, 3.5, 4000);
  EXPECT_EQ(all_of(*often), fresh(path, 3.5));
  EXPECT_GT(often->size(), 900);
  EXPECT_LT(often->facts().report.kept, 301);
  int64_t once_bytes = 0, often_bytes = 0;
  for (const auto& entry : fs::directory_iterator(once->folder())) once_bytes += entry.path().extension() == ".tokens" ? static_cast<int64_t>(entry.file_size()) : 0;
  for (const auto& entry : fs::directory_iterator(often->folder())) often_bytes += entry.path().extension() == ".tokens" ? static_cast<int64_t>(entry.file_size()) : 0;
  EXPECT_LT(often_bytes, once_bytes * 3) << "copies are references";
}

TEST_F(TokenSets, TakeLessThanThreeBytesAToken) {
  std::string text;
  for (int i = 0; i < 2000; ++i) text += fmt::format("{{\"prompt\":\"question {}\",\"completion\":\"{}\"}}\n", i, std::string(90 + static_cast<size_t>(i % 90), 'x'));
  const auto path = folder_.file("long.jsonl", text);
  const auto set = open(path);
  EXPECT_LT(static_cast<double>(set->bytes()) / static_cast<double>(set->facts().report.tokens), 3.0);
}

TEST_F(TokenSets, LongTextsArePieces) {
  const auto path = folder_.file("texts.jsonl", "{\"text\":\"" + std::string(25, 'a') + "\"}\n{\"text\":\"bc\"}\n{\"text\":\"" + std::string(21, 'd') + "\"}\n");
  TokenSetOptions options{.tokenize = {.max_length = 0, .raw = true}, .piece_length = 10};
  options.cache.folder = folder_.path("cache");
  const auto set = text_set({{{path}, Format::automatic, {}, 2.0}}, bytes_tokenizer, nullptr, options);
  std::string lengths;
  set->each_row([&](int64_t, TokenRow&& row) {
    EXPECT_EQ(row.weights.front(), 0.0F);
    EXPECT_EQ(row.weights.size(), row.chosen.size());
    lengths += fmt::format("{}{} ", static_cast<char>(row.chosen.back()), row.length());
  });
  EXPECT_EQ(lengths, "a10 a10 a5 c2 d10 d10 a10 a10 a5 c2 d10 d10 ");
}

TEST_F(TokenSets, WideVocabulariesTakeFourBytes) {
  const auto path = rows(10);
  const Bytes wide(100000);
  TokenSetOptions options{.tokenize = {.raw = true}};
  options.cache.folder = folder_.path("cache");
  const auto set = sequence_set({{{path}}}, wide, nullptr, options);
  EXPECT_EQ(set->row(3).chosen, open(path)->row(3).chosen);
  EXPECT_GT(set->bytes(), open(path)->bytes());
}

TEST_F(TokenSets, DamagedAndCutFilesAreMadeAnew) {
  const auto path = rows(25000);
  const auto expected = all_of(*open(path, 1.0, 2000));
  const fs::path folder = only_set();
  ASSERT_TRUE(fs::exists(part_path(folder, 2)));
  Random random(5);
  for (const char* name : {"part-00000.tokens", "part-00002.tokens", "set.json", "part-00001.json", "part-00000.tokens"}) {
    for (const bool cut : {false, true}) {
      const auto file = folder / name;
      std::string bytes = read_file(file);
      const size_t at = random.below(bytes.size());
      cut ? bytes.resize(at) : static_cast<void>(bytes[at] = static_cast<char>(bytes[at] ^ 1));
      { std::ofstream(file, std::ios::binary) << bytes; }
      EXPECT_EQ(all_of(*open(path, 1.0, 2000)), expected) << name << (cut ? " cut at " : " changed at ") << at;
    }
    fs::remove(folder / name);
    EXPECT_EQ(all_of(*open(path, 1.0, 2000)), expected) << name << " removed";
  }
}

TEST_F(TokenSets, DamageThatIsSeenWhileTrainingRemovesTheSet) {
  const auto path = rows(400);
  const auto set = open(path);
  const auto part = part_path(set->folder(), 0);
  const auto expected = all_of(*set);
  { std::ofstream(part, std::ios::binary | std::ios::in | std::ios::out).seekp(200) << "damage"; }
  EXPECT_THROW(set->each_row([](int64_t, TokenRow&&) {}), Error) << "rewritten while it was mapped";
  EXPECT_EQ(all_of(*open(path)), expected);
  // A flipped bit that no time of change tells of.
  const auto whole = open(path);
  const auto time = fs::last_write_time(part);
  { std::ofstream(part, std::ios::binary | std::ios::in | std::ios::out).seekp(200) << "damage"; }
  fs::last_write_time(part, time);
  try {
    open(path)->each_row([](int64_t, TokenRow&&) {});
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::io);
    EXPECT_NE(std::string(error.what()).find("is damaged"), std::string::npos) << error.what();
  }
  EXPECT_EQ(all_of(*open(path)), expected);
}

TEST_F(TokenSets, AMovedCacheIsCheckedOnceAndUsed) {
  const auto path = rows(100);
  const auto expected = all_of(*open(path));
  fs::copy(folder_.path("cache"), folder_.path("other"), fs::copy_options::recursive);
  fs::remove_all(folder_.path("cache"));
  fs::rename(folder_.path("other"), folder_.path("cache"));
  EXPECT_EQ(all_of(*open(path)), expected);
}

/// Runs `body` in a process of its own and gives its status.
int in_child(const std::function<void()>& body) {
  const pid_t child = ::fork();
  if (child == 0) {
    try {
      body();
      ::_exit(0);
    } catch (const Error& error) {
      ::_exit(error.kind() == Error::Kind::io ? 7 : 8);
    } catch (...) {
      ::_exit(9);
    }
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

TEST_F(TokenSets, AFullDiskIsAnErrorAndTheNextRunGoesOn) {
  const auto path = rows(2000);
  const auto expected = fresh(path);
  // No file may become larger than so much, as on a disk that is full at its end.
  const int status = in_child([&] {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{.rlim_cur = 6000, .rlim_max = 6000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    open(path, 1.0, 100000);
  });
  EXPECT_EQ(status, 7);
  for (const auto& entry : fs::recursive_directory_iterator(folder_.path("cache"))) EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos);
  EXPECT_EQ(all_of(*open(path, 1.0, 100000)), expected);
}

TEST_F(TokenSets, AnInputThatChangesMeanwhileIsAnError) {
  const auto path = rows(20);
  TokenSetOptions options{.tokenize = {.raw = true}};
  options.cache.folder = folder_.path("cache");
  TokenRecipe recipe{.shape = RowShape::sequence, .expand = [](const Example& example) { return std::vector<Example>{example}; }, .sources = {{{path}}}};
  recipe.make = [&](const Example& example, std::string& reason, bool& truncated) -> std::optional<TokenRow> {
    if (example.id == "7") std::ofstream(path, std::ios::app) << "{\"id\":\"new\",\"prompt\":\"q\",\"completion\":\"x\"}\n";
    return token_row(std::move(*tokenize_sequence(example, bytes_tokenizer, nullptr, options.tokenize, reason, truncated)));
  };
  try {
    cached_token_set(recipe, "options", options.cache);
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::io);
    EXPECT_NE(std::string(error.what()).find("changed while it was read"), std::string::npos) << error.what();
  }
  EXPECT_TRUE(list_cached_tokens(folder_.path("cache")).empty());
}

TEST_F(TokenSets, KilledMakingGoesOnBehindItsParts) {
  const auto path = rows(30000, "rows.jsonl", 100);
  const auto expected = fresh(path, 1.5);
  int killed = 0;
  for (int round = 0; round < 12; ++round) {
    fs::remove_all(folder_.path("cache"));
    const pid_t child = ::fork();
    if (child == 0) {
      open(path, 1.5, 40000);
      ::_exit(0);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20 + 30 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    killed += WIFSIGNALED(status);
    const fs::path folder = only_set();
    const bool parts = !folder.empty() && fs::exists(part_state_path(folder, 0));
    const auto time = parts ? fs::last_write_time(part_path(folder, 0)) : fs::file_time_type();
    const auto set = open(path, 1.5, 40000);
    EXPECT_EQ(all_of(*set), expected);
    if (parts) {
      EXPECT_EQ(fs::last_write_time(part_path(set->folder(), 0)), time) << "a finished part is kept";
    }
    for (const auto& entry : fs::directory_iterator(set->folder())) EXPECT_EQ(entry.path().filename().string().find(".tmp-"), std::string::npos) << entry.path();
  }
  EXPECT_GT(killed, 0);
}

TEST_F(TokenSets, ProcessesThatStartAtOnceMakeOneSet) {
  const auto path = rows(5000);
  const auto expected = fresh(path);
  std::vector<pid_t> children;
  for (int i = 0; i < 4; ++i) {
    const pid_t child = ::fork();
    if (child == 0) ::_exit(all_of(*open(path, 1.0, 20000)) == expected ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ::waitpid(child, &status, 0);
    EXPECT_EQ(status, 0);
  }
  EXPECT_FALSE(only_set().empty());
}

TEST_F(TokenSets, AreRemovedWhileARunReadsThem) {
  const auto path = rows(200);
  const auto set = open(path);
  const auto expected = all_of(*set);
  for (const auto& one : list_cached_tokens(folder_.path("cache"))) {
    EXPECT_TRUE(one.whole);
    EXPECT_EQ(one.rows, 200);
    EXPECT_EQ(one.sources, path + "\n");
    EXPECT_TRUE(remove_cached_tokens(one));
  }
  EXPECT_EQ(all_of(*set), expected);
  EXPECT_EQ(all_of(*open(path)), expected);
}

}  // namespace
}  // namespace fettle::data
