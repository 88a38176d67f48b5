#pragma once
// OpenChat's data format: every published model type, its templates, masks and weights, and the files that its
// `generate_dataset` writes (imoneoi/openchat, v1 of July 2023 to 3.6 of May 2024).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/pass.h"
#include "text/tokenizer.h"

namespace fettle::data {

/// Which of its file layouts; each model type has the one it was published with.
enum class OpenChatFiles {
  v1,    ///< DIR/TYPE.{train,eval}.json: [ids, mask]; and .text.json
  v2,    ///< the same with the class: [ids, mask, group]
  v3_1,  ///< PREFIX.{train,eval}.parquet with a pair of columns for each class
  v3_2,  ///< PREFIX.{train,eval}.parquet with shifted labels and weights (3.2-super)
  v3_5,  ///< PREFIX.{0,1,…}.parquet, one for each epoch's input file; weights come with the rows
};
/// "v1", "v2", "v3.1", "v3.2", "v3.5"; Error(usage) otherwise.
OpenChatFiles openchat_files_from_name(std::string_view name);

struct OpenChatType {
  std::string name;
  int64_t context;
  bool bos;                 ///< begins with `<s>` (what the tokenizer begins every text with, from 3.5 on)
  std::string user, assistant;  ///< prefixes; {} stands for GPT4 or GPT3, from 3.5 on for the row's condition
  std::string condition;    ///< stands in front of the conversation with an end-of-turn behind it; {} as above
  bool has_groups;          ///< rows of GPT-4 are a class of their own
  OpenChatFiles files;
  std::string end_of_turn = "<|end_of_turn|>";
  bool system_has_role = false;  ///< 3.6: the system text stands under a prefix of its own
};
/// openchat, openchat_8192, opencoder, openchat_v2, openchat_llama2, openchat_v3.1_llama2, openchat_v3.2,
/// openchat_v3.2_mistral (also openchat_3.5), openchat_3.6. Error(usage) with the nearest name otherwise.
const OpenChatType& openchat_type(std::string_view name);
std::vector<std::string> openchat_type_names();

struct OpenChatSample {
  std::vector<int32_t> ids;
  std::vector<double> weights;  ///< of each token as a label, 0 where it is not learnt; as long as ids
  int group = 0;                ///< 1: GPT-4
  bool truncated = false;

  bool supervised() const;
};

struct OpenChatOptions {
  const OpenChatType* type = nullptr;
  OpenChatFiles files = OpenChatFiles::v1;
  const Tokenizer* tokenizer = nullptr;
  uint64_t seed = 42;
  double eval_ratio = 0;
  double gpt3_weight = 0.1;        ///< v3.2: of conversations that are not GPT-4's
  bool per_sequence_loss = false;  ///< v3.5: a message's weight is shared by its tokens
};

/// Conversations to token ids. Thread-safe. The tokenizer must outlive it. A tokenizer without the end-of-turn
/// token gets it as its next id, as OpenChat's model conversion adds it.
class OpenChatTemplate {
 public:
  explicit OpenChatTemplate(const OpenChatOptions& options);
  /// `row` is {"items" | "conversations": [{"from", "value"}] or [{"role", "content", "weight"}], "model",
  /// "system", "condition"}. Throws Error with `where` when it is not.
  OpenChatSample encode(const OrderedJson& row, std::string_view where) const;
  /// With special tokens as text and nothing around them.
  std::string decode(const std::vector<int32_t>& ids) const;
  int32_t end_of_turn() const { return end_; }

 private:
  void append(OpenChatSample& sample, std::string_view text, double weight, bool parse_special = false) const;
  void append_end(OpenChatSample& sample, double weight) const;
  std::string prefix(const std::string& role, const std::string& condition) const;
  double weight_of(const OrderedJson& turn, bool is_assistant, const std::string& text, bool is_gpt4) const;

  OpenChatOptions options_;
  int32_t bos_ = -1, end_ = -1;
};

/// `files.output` is the folder (v1, v2) or the path's beginning (later). Shuffles with Python's generator and
/// cuts the evaluation rows off the front, as published; rows wait on the disk, not in memory.
PassReport convert_openchat(const PassFiles& files, const OpenChatOptions& options);

}  // namespace fettle::data
