#pragma once
// OpenChat's data format: rows with the masks and weights of every published model type, and the files that its
// `generate_dataset` writes (imoneoi/openchat, v1 of July 2023 to 3.6 of May 2024).
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "data/passes/pass.h"
#include "text/chat/openchat.h"
#include "text/tokenizer/tokenizer.h"

namespace fettle::data {

/// The release whose file layout is written:
/// v1: DIR/TYPE.{train,eval}.json: [ids, mask]; and .text.json. v2: the same with the class: [ids, mask, group].
/// v3.1: PREFIX.{train,eval}.parquet with a pair of columns for each class. v3.2: the same with shifted labels and
/// weights (3.2-super). v3.5: PREFIX.{0,1,…}.parquet, one for each epoch's input file; weights come with the rows.
/// "v1", "v2", "v3.1", "v3.2", "v3.5"; Error(usage) otherwise.
OpenChatRelease openchat_release_from_name(std::string_view name);

struct OpenChatSample {
  std::vector<int32_t> ids;
  std::vector<double> weights;  ///< of each token as a label, 0 where it is not learnt; as long as ids
  int group = 0;                ///< 1: GPT-4
  bool truncated = false;

  bool supervised() const;
};

struct OpenChatOptions {
  const OpenChatType* type = nullptr;
  OpenChatRelease files = OpenChatRelease::v1;
  const Tokenizer* tokenizer = nullptr;
  uint64_t seed = 42;
  double eval_ratio = 0;
  double gpt3_weight = 0.1;        ///< v3.2: of conversations that are not GPT-4's
  bool per_sequence_loss = false;  ///< v3.5: a message's weight is shared by its tokens
};

/// Rows to token ids. Thread-safe. The tokenizer must outlive it.
class OpenChatRows {
 public:
  explicit OpenChatRows(const OpenChatOptions& options);
  /// `row` is {"items" | "conversations": [{"from", "value"}] or [{"role", "content", "weight"}], "model",
  /// "system", "condition"}. Throws Error with `where` when it is not.
  OpenChatSample encode(const OrderedJson& row, std::string_view where) const;
  /// With special tokens as text and nothing around them.
  std::string decode(const std::vector<int32_t>& ids) const;
  int32_t end_of_turn() const { return encoder_.end_of_turn(); }

 private:
  double weight_of(const OrderedJson& turn, bool is_assistant, const std::string& text, bool is_gpt4) const;

  OpenChatOptions options_;
  OpenChatEncoder encoder_;
};

/// `files.output` is the folder (v1, v2) or the path's beginning (later). Shuffles with Python's generator and
/// cuts the evaluation rows off the front, as published; rows wait on the disk, not in memory.
PassReport convert_openchat(const PassFiles& files, const OpenChatOptions& options);

}  // namespace fettle::data
