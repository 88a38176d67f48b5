#pragma once
// The formats of rows, and how the keys of a row tell its format (docs/data.md lists both).
#include <optional>
#include <string>
#include <string_view>

#include "data/rows/row_keys.h"

namespace fettle::data {

enum class Format {
  automatic,
  messages,       ///< {"messages": [{"role", "content", "weight"?}]}
  sharegpt,       ///< {"conversations" | "items" | …: [{"from", "value", "weight"?}]}, or turns in other spellings
  alpaca,         ///< {"instruction", "input"?, "output", "system"?, "history"?}
  completion,     ///< {"prompt", "completion"} or other names of the two: text or messages
  pair,           ///< {"prompt"?, "chosen", "rejected"} or other names: text or messages
  judged,         ///< {"prompt", "completion", "label"}, or {"messages" | "conversations", "label"} (KTO)
  ultrafeedback,  ///< {"instruction", "completions": [{"response", "overall_score", …}]}
  votes,          ///< two answers and a verdict: {"prompt", "response_a", "response_b", "winner"}
  ranked,         ///< several answers with ranks or scores: {"prompt", "answers": [{"answer", "rank"}]}
  summaries,      ///< {"info": {"post", …}, "summaries": [{"text"}], "choice"}
  instances,      ///< {"instruction", "instances": [{"input", "output"}]}
  transcript,     ///< {"chat" | "text": "USER: … ASSISTANT: …"}
  text,           ///< {"text"}
};
std::string_view format_name(Format format);
/// Also the names of published data sets ("openorca", "dolly", …). Throws Error(usage) with the nearest name.
Format format_from_name(std::string_view name);

/// The format that the keys tell; nothing when they tell none. A key with null counts only where the others do
/// not suffice, so that reading the row names it; a null label counts always.
std::optional<Format> format_of(const RowKeys& keys);
/// Why rows with these keys are read only under a format that the user names; "" for all others.
std::string_view refusal_of(const RowKeys& keys);
/// For a row of no known format: the format that it is nearest to, and the key that it lacks for it.
std::string nearest_format(const RowKeys& keys, const std::vector<std::string>& names);

}  // namespace fettle::data
