#pragma once
// One training example out of a row of any known format (docs/data.md lists them).
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "data/rows/format.h"
#include "text/chat/message.h"

namespace fettle::data {

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
/// format. "label" may name a column and a bound: {"label": "helpfulness >= 3"}.
using Columns = std::map<std::string, std::string>;

/// The remark of a pair whose prompt was not named.
inline constexpr const char* implicit_prompt = "no prompt: what both answers begin with was taken for it";

/// What reading a row used of it, and what it took for what: for reports. Filled by example_from_row.
struct RowUse {
  Format format = Format::automatic;      ///< that it was read as
  std::vector<std::string> columns;       ///< that were read
  std::vector<std::string> mappings;      ///< "question → prompt"
  std::vector<std::string> message_keys;  ///< keys of turns that no format knows; only a chat template may read them
  std::vector<std::string> remarks;       ///< fixed phrases that rows are counted under
  bool operator==(const RowUse&) const = default;
};

/// A row that is not read. The message says where and why; `reason` is the phrase that such rows are counted under:
/// "empty answer ('output')", "no value ('label')".
class RowError : public Error {
 public:
  RowError(std::string reason, std::string_view where, const std::string& why)
      : Error(fmt::format("{}: {}", where, why)), reason_(std::move(reason)) {}
  const std::string& reason() const { return reason_; }

 private:
  std::string reason_;
};
/// The reason of a RowError, "does not fit its format" for other errors.
std::string reason_of(const Error& error);

/// The format that a row's keys (after `columns`) tell. Throws Error naming the keys found, the nearest
/// format and the key it lacks.
Format detect_format(const OrderedJson& row, const Columns& columns, std::string_view where);

/// What a row means: the one place that decides it, for every command. Throws Error (often a RowError) naming the
/// missing or wrong key, and what was expected. An answer without any text and without tool calls is an error whatever
/// the format, as is a list without turns.
Example example_from_row(const OrderedJson& row, Format format, const Columns& columns, std::string_view where,
                         RowUse* use = nullptr);

/// What a model is asked to answer in a row: a prompt, or a conversation without the answer that ends it. A row of
/// any format above, or one that lacks the answer. `completion` stays empty.
Example prompt_from_row(const OrderedJson& row, Format format, const Columns& columns, std::string_view where,
                        RowUse* use = nullptr);

/// The other way, for `data convert`: `format` must be able to hold the example, else Error.
OrderedJson example_to_row(const Example& example, Format format);

/// The example as one conversation or one prompt and completion that supervised training learns from: a pair
/// gives its chosen answer, an undesirable judged row gives nothing.
std::optional<Example> as_supervised(const Example& example);
/// A pair as its two judged rows; a judged row as itself; others are desirable.
std::vector<Example> as_judged(const Example& example);

}  // namespace fettle::data
