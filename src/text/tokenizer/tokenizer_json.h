#pragma once
// tokenizer.json in and out. Format: the `tokenizers` library, version "1.0".
#include <memory>
#include <string>
#include <string_view>

#include "text/tokenizer/pipeline.h"

namespace fettle {

/// The pipeline that `json` (a parsed tokenizer.json) describes; `source` is kept for to_json(). Truncation,
/// padding and dropout settings are not ours to apply: they are kept, and do nothing.
std::shared_ptr<PipelineTokenizer> pipeline_from_json(const Json& json, std::string source,
                                                      std::string_view where);

/// The GGUF vocabulary of a tokenizer made from `json`. Error when GGUF has no name for its pre-tokenizer or
/// model.
GgufVocabulary gguf_from_json(const PipelineTokenizer& tokenizer, const Json& json, std::string_view where);

/// One entry of the list "added_tokens".
OrderedJson added_token_json(const AddedToken& token);

/// A TemplateProcessing that puts BOS before a text and EOS behind it where asked for (and the id is not -1).
struct NamedToken {
  std::string token;
  int32_t id;
};
OrderedJson template_json(const NamedToken& bos, const NamedToken& eos, bool add_bos, bool add_eos);

}  // namespace fettle
