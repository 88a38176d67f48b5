#include "data/training/token_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <thread>
#include <utility>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/unfinished.h"
#include "data/files/input.h"
#include "data/files/paths.h"

namespace fettle::data {
namespace {

constexpr std::string_view lock_ending = ".lock";

OrderedJson state_json(const FileState& state) {
  return {{"device", state.device}, {"inode", state.inode}, {"size", state.size}, {"seconds", state.seconds}, {"nanoseconds", state.nanoseconds}};
}

FileState state_of(const std::string& file) {
  const Descriptor descriptor(open_input(file));
  return FileState::of(descriptor.get(), file);
}

/// Device numbers change when a machine starts anew.
bool same_state(const OrderedJson& saved, const FileState& now) {
  return saved.value("inode", uint64_t{0}) == now.inode && saved.value("size", int64_t{-1}) == now.size && saved.value("seconds", int64_t{0}) == now.seconds &&
         saved.value("nanoseconds", int64_t{0}) == now.nanoseconds;
}

std::string hash_content(const std::string& file, FileState& state) {
  const Descriptor descriptor(open_input(file));
  state = FileState::of(descriptor.get(), file);
  Progress bar("hashing " + file, static_cast<uint64_t>(std::max<int64_t>(0, state.size)), "bytes");
  std::vector<char> chunk(size_t{1} << 20);
  Hasher hasher;
  for (size_t got; (got = read_input(descriptor.get(), file, chunk.data(), chunk.size())) > 0; bar.advance(got)) {
    throw_if_interrupted();
    hasher.add_raw(chunk.data(), got);
  }
  if (FileState::of(descriptor.get(), file) != state) fail_changed(file, "while it was hashed");
  return hasher.hex();
}

bool just_written(const FileState& state) {
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(std::chrono::system_clock::now().time_since_epoch()).count();
  return now - state.seconds < 2;
}

/// Held by the process that makes a set or removes it.
class SetLock {
 public:
  /// Waits for it, and says so; with `wait` false, held() tells whether it came.
  SetLock(const fs::path& folder, bool wait) : path_(folder.string() + std::string(lock_ending)) {
    for (bool said = false;; said = true) {
      if (take()) return;
      if (!wait) return;
      if (!said) log_info("another process is tokenising the same data ({}); waiting for it", folder.string());
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      throw_if_interrupted();
    }
  }
  bool held() const { return descriptor_.get() >= 0; }
  const fs::path& path() const { return path_; }

 private:
  bool take() {
    Descriptor opened(open_retrying(path_, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW));
    if (opened.get() < 0) fail_io(path_.string(), "cannot be opened");
    while (::flock(opened.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno == EWOULDBLOCK) return false;
      break;  // a file system without locks: better made twice than not at all
    }
    if (!is_still_there(opened.get(), path_)) return false;
    descriptor_ = std::move(opened);
    return true;
  }

  fs::path path_;
  Descriptor descriptor_{-1};
};

/// The files of all sources, in their order; nullopt where one cannot be read twice, or its name means nothing.
std::optional<std::vector<std::string>> regular_files(const std::vector<DataSource>& sources) {
  std::vector<std::string> files;
  for (const auto& source : sources) {
    for (auto& file : expand_paths(source.paths)) {
      std::error_code unknown;
      if (file == "-" || !fs::is_regular_file(file, unknown)) return std::nullopt;
      files.push_back(std::move(file));
    }
  }
  return files;
}

std::string set_key(const TokenRecipe& recipe, const std::string& options, const std::vector<std::string>& files, const InputHashes& hashes) {
  Hasher hasher;
  const auto shape = static_cast<uint8_t>(recipe.shape);
  hasher.add("token set 1").add(options).add_raw(&shape, 1).add_raw(&recipe.piece_length, sizeof recipe.piece_length).add_raw(&recipe.seed, sizeof recipe.seed);
  for (const auto& source : recipe.sources) {
    hasher.add(format_name(source.format)).add_raw(&source.weight, sizeof source.weight);
    for (const auto& [role, column] : source.columns) hasher.add(role).add(column);
    for (const auto& path : source.paths) hasher.add(path);
    hasher.add("files");
  }
  for (const auto& file : files) hasher.add(file).add(hashes.of(file));
  return hasher.hex();
}

/// Bytes of text in the files, where none is compressed or a table of columns; else 0.
uint64_t text_bytes(const std::vector<std::string>& files) {
  uint64_t total = 0;
  for (const auto& file : files) {
    const fs::path name(file);
    for (const char* ending : {".gz", ".zst", ".bz2", ".xz", ".lz4", ".br", ".parquet"}) {
      if (name.extension() == ending) return 0;
    }
    total += fs::file_size(name);
  }
  return total;
}

std::shared_ptr<const TokenizedSet> temporary_set(const TokenRecipe& recipe) {
  const auto owner = std::make_shared<const TemporaryFolder>();
  make_token_set(recipe, owner->path());
  return std::make_shared<const TokenizedSet>(owner->path(), owner);
}

std::vector<FileState> states_of(const std::vector<std::string>& files) {
  std::vector<FileState> states;
  for (const auto& file : files) states.push_back(state_of(file));
  return states;
}

/// The set, if it is whole; what is damaged of it is said where `say` asks for it.
std::shared_ptr<const TokenizedSet> open_whole(const fs::path& folder, bool say) {
  std::error_code unknown;
  if (!fs::exists(manifest_path(folder), unknown)) return nullptr;
  try {
    auto set = std::make_shared<const TokenizedSet>(folder);
    fs::last_write_time(folder, fs::file_time_type::clock::now(), unknown);  // when it was used last
    return set;
  } catch (const DamagedTokens& error) {
    if (say) log_warning("{}; the data are tokenised anew", error.what());
    return nullptr;
  }
}

/// Under the lock: made from the start, or behind the parts that are whole.
void make_in(const TokenRecipe& recipe, const fs::path& folder, const std::vector<std::string>& files, const std::vector<FileState>& before) {
  make_folders(folder);
  remove_unfinished(folder);
  fs::remove(manifest_path(folder));
  std::string names;
  for (const auto& file : files) names += file + "\n";
  write_file(folder / "sources.txt", names);
  try {
    make_token_set(recipe, folder);
    for (size_t i = 0; i < files.size(); ++i) {
      if (state_of(files[i]) != before[i]) fail_changed(files[i], "while it was tokenised");
    }
  } catch (const Error& error) {
    // A full disk and a signal leave what is done; another input makes another set.
    const bool stays = error.kind() == Error::Kind::interrupted || (error.kind() == Error::Kind::io && !fs::exists(manifest_path(folder)));
    if (!stays) fs::remove_all(folder);
    throw;
  }
}

/// The folder to keep sets in, made; empty, with a warning, where there is none to write to.
fs::path writable_root(const fs::path& wanted) {
  std::string why;
  try {
    const fs::path root = wanted.empty() ? default_token_folder() : wanted;
    make_folders(root / "inputs");
    if (::access(root.c_str(), W_OK) == 0 && ::access((root / "inputs").c_str(), W_OK) == 0) return root;
    why = root.string() + ": cannot be written to";
  } catch (const Error& error) {
    if (error.kind() != Error::Kind::io) throw;
    why = error.what();
  }
  log_warning("{}; the tokens are kept for this run alone: name another folder by `token_cache`", why);
  return {};
}

}  // namespace

std::string InputHashes::of(const std::string& file) const {
  const fs::path known = folder_ / (hash_hex(fs::absolute(file).lexically_normal().string()) + ".json");
  FileState state = state_of(file);
  if (const auto saved = read_checked(known); saved && same_state(saved->at("state"), state)) return saved->at("hash").get<std::string>();
  const std::string hash = hash_content(file, state);
  if (!just_written(state)) write_checked(known, {{"file", fs::absolute(file).string()}, {"state", state_json(state)}, {"hash", hash}});
  return hash;
}

fs::path default_token_folder() {
  return cache_folder() / "tokens";
}

std::shared_ptr<const TokenizedSet> cached_token_set(TokenRecipe recipe, const std::string& options, const TokenCacheOptions& cache) {
  const auto files = regular_files(recipe.sources);
  if (files) recipe.input_bytes = text_bytes(*files);
  recipe.inputs_stay = files.has_value() && cache.keep;
  if (!files || !cache.keep) return temporary_set(recipe);
  const fs::path root = writable_root(cache.folder);
  if (root.empty()) return temporary_set(recipe);
  const auto before = states_of(*files);
  const fs::path folder = root / set_key(recipe, options, *files, InputHashes(root / "inputs"));
  if (auto set = open_whole(folder, false)) return set;
  const SetLock lock(folder, true);
  if (auto set = open_whole(folder, true)) return set;
  make_in(recipe, folder, *files, before);
  return std::make_shared<const TokenizedSet>(folder);
}

std::vector<CachedTokens> list_cached_tokens(const fs::path& folder) {
  std::vector<CachedTokens> found;
  std::error_code unknown;
  for (const auto& entry : fs::directory_iterator(folder, unknown)) {
    const std::string name = entry.path().filename().string();
    if (!entry.is_directory() || entry.is_symlink() || name.size() != 32 || name.find_first_not_of("0123456789abcdef") != std::string::npos) continue;
    CachedTokens one{.folder = entry.path()};
    for (const auto& file : fs::directory_iterator(entry.path(), unknown)) one.bytes += static_cast<int64_t>(file.file_size(unknown));
    if (const auto manifest = read_checked(manifest_path(one.folder)); manifest && manifest->contains("parts")) {
      one.whole = true;
      for (const auto& part : (*manifest)["parts"]) one.rows += part.value("entries", int64_t{0});
    }
    if (fs::exists(one.folder / "sources.txt")) one.sources = read_file(one.folder / "sources.txt");
    one.age_seconds = std::chrono::duration<double>(fs::file_time_type::clock::now() - fs::last_write_time(one.folder, unknown)).count();
    found.push_back(std::move(one));
  }
  std::sort(found.begin(), found.end(), [](const CachedTokens& a, const CachedTokens& b) { return a.folder < b.folder; });
  return found;
}

bool remove_cached_tokens(const CachedTokens& tokens) {
  const SetLock lock(tokens.folder, false);
  if (!lock.held()) return false;
  fs::remove_all(tokens.folder);
  fs::remove(lock.path());
  return true;
}

}  // namespace fettle::data
