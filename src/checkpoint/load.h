#pragma once
// Opens any model: a Hugging Face folder, a GGUF, a llama2.c checkpoint, the folder that training wrote (a
// model or a PEFT adapter beside its base). The one way from files to a decoder's config and weights.
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/stored_tensor.h"
#include "model/adapter.h"
#include "model/config.h"
#include "model/parameters.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle {

struct Gguf;

enum class ModelFormat : uint8_t { hf, gguf, llama2c };
std::string_view format_name(ModelFormat format);

/// A model as its files hold it. Movable; the parameters keep the mapped files.
struct LoadedModel {
  fs::path
      path;  ///< of the weights: the folder or file (the base's, when `path` of load_model was an adapter)
  ModelFormat format = ModelFormat::hf;
  ModelConfig config;
  /// Views on the mapped file wherever its bytes can be used as they are (f32, f16, bf16, quantised), so they
  /// are read-only and not f32: to_f32() makes a copy that can be trained.
  Parameters parameters;
  std::shared_ptr<const Tokenizer> tokenizer;  ///< null when there is none
  fs::path tokenizer_folder;            ///< where the tokenizer's own files lie, empty for a GGUF or llama2.c
  Json source_config = Json::object();  ///< config.json as it stands, empty for other formats
  Json generation_config = Json::object();  ///< generation_config.json, or what the other formats say of it
  std::vector<int32_t> eos;        ///< every id that ends an answer, from all of the above; no duplicates
  DType dtype = DType::f32;        ///< that most of the weights are stored in
  std::optional<Adapter> adapter;  ///< when load_model was given an adapter's folder
  fs::path adapter_path;
  std::shared_ptr<const TemporaryFolder> owned_files;  ///< where tokenizer_folder lies when it was made here
};

struct LoadOptions {
  fs::path tokenizer;   ///< instead of the model's own; llama2.c has none (else tokenizer.bin or tok*.bin
                        ///< beside it is taken)
  bool weights = true;  ///< false: config and tokenizer alone; parameters stay empty
  /// An adapter's base_model_name_or_path to a path; by default the path itself, also relative to the
  /// adapter's folder.
  std::function<fs::path(const std::string& name)> resolve;
};

/// Throws Error naming the file and tensor: unknown formats, missing files, tensors that are missing, of the
/// wrong shape, or not known to the family.
LoadedModel load_model(const fs::path& path, const LoadOptions& options = {});

/// Puts the adapter in `folder` on top of an opened model that has none. An adapter of another vocabulary (tokens were
/// added before it was trained) changes the model's: its embedding and head become the adapter's, the tokenizer that of the
/// adapter's folder unless `keep_tokenizer`. Throws Error as read_adapter does.
void attach_adapter(LoadedModel& model, const fs::path& folder, bool keep_tokenizer = false);

/// What `path` looks like, without opening more than it must; none when it is no model.
std::optional<ModelFormat> detect_format(const fs::path& path);

/// The config that a GGUF's metadata and tensors describe. Throws Error as load_model does.
ModelConfig gguf_config(const Gguf& gguf);

/// Whether `path` is a PEFT adapter's folder.
bool is_adapter_folder(const fs::path& path);

}  // namespace fettle
