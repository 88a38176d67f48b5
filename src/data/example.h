#pragma once
// One training example out of a row of any known format (docs/data.md lists them).
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/message.h"

namespace fettle::data {

enum class Format {
  automatic,
  messages,    ///< {"messages": [{"role", "content", "weight"?}]}
  sharegpt,    ///< {"conversations" | "items": [{"from", "value", "weight"?}]}
  alpaca,      ///< {"instruction", "input"?, "output", "system"?, "history"?}
  completion,  ///< {"prompt", "completion"}: text or messages
  pair,  ///< {"prompt"?, "chosen", "rejected"}: text or messages; prompt may be "conversations" or "messages"
  judged,         ///< {"prompt", "completion", "label"}, or {"messages" | "conversations", "label"} (KTO)
  ultrafeedback,  ///< {"instruction", "completions": [{"response", "overall_score", …}]}
  text,           ///< {"text"}
};
std::string_view format_name(Format format);
/// Throws Error(usage) with the nearest name.
Format format_from_name(std::string_view name);

/// Plain text, or turns of a conversation. A chat may hold the same as plain `text` too, for use without a
/// template.
struct Content {
  std::string text;
  Messages messages;
  bool is_chat = false;
  bool operator==(const Content&) const = default;
};

/// What a row means, whatever its format was.
struct Example {
  enum class Kind {
    text,          ///< `completion.text` alone
    conversation,  ///< `completion.messages` alone
    completion,    ///< `prompt`, `completion`
    pair,          ///< `prompt`, `completion` is the chosen one, `rejected`
    judged,        ///< `prompt`, `completion`, `desirable`
  };
  Kind kind = Kind::text;
  std::string id;  ///< the row's own, else 16 hexadecimal digits made from its content (the same in every
                   ///< format order of keys)
  Content prompt, completion, rejected;
  bool desirable = true;
  double weight = 1.0;      ///< of the row in the loss
  std::string class_label;  ///< `class` (or `condition`) for weighted-sft; empty if none
  OrderedJson variables =
      nullptr;  ///< further template variables of the row (tools, chat_template_kwargs), an object or null
};

/// Which column plays which role: {"prompt": "question", "completion": "answer"}. Keys are the names of the
/// format.
using Columns = std::map<std::string, std::string>;

/// The format that a row's keys (after `columns`) tell. Throws Error naming the keys found, the nearest
/// format and the key it lacks.
Format detect_format(const OrderedJson& row, const Columns& columns, std::string_view where);

/// Converts one row. Throws Error naming the missing or wrong key, and what was expected.
Example example_from_row(const OrderedJson& row, Format format, const Columns& columns,
                         std::string_view where);

/// The other way, for `data convert`: `format` must be able to hold the example, else Error.
OrderedJson example_to_row(const Example& example, Format format);

/// The example as one conversation or one prompt and completion that supervised training learns from: a pair
/// gives its chosen answer, an undesirable judged row gives nothing.
std::optional<Example> as_supervised(const Example& example);
/// A pair as its two judged rows; a judged row as itself; others are desirable.
std::vector<Example> as_judged(const Example& example);

}  // namespace fettle::data
