#include "data/passes/show.h"

#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/standard_output.h"
#include "data/files/reader.h"
#include "data/training/dataset.h"
#include "verbs/rows.h"

namespace fettle::verbs {
namespace {

enum class Colour { automatic, always, never };

struct Show {
  std::vector<std::string> inputs;
  std::string output = "-", model, id;
  TokenOptions tokens;
  int64_t rows = 3;
  Colour colour = Colour::automatic;

  bool in_colour() const {
    return colour == Colour::always || (colour == Colour::automatic && is_standard_output(output) && ::isatty(STDOUT_FILENO) != 0);
  }
};

KeyTable<Show> show_keys() {
  KeyTable<Show> keys;
  add_inputs(keys, [](auto& o) -> auto& { return o.inputs; });
  keys.add("output", "Where the rows are shown; - is standard output", [](auto& o) -> auto& { return o.output; }).output("rows.txt");
  keys.add("rows", "How many", [](auto& o) -> auto& { return o.rows; }).at_least(0);
  keys.add("id", "Only the row with this id", [](auto& o) -> auto& { return o.id; });
  keys.choice<Colour>("colour", "auto: on a terminal", {{"auto", Colour::automatic}, {"always", Colour::always}, {"never", Colour::never}},
                      [](auto& o) -> auto& { return o.colour; });
  keys.add("model", "Show the tokens and the mask under this model's tokenizer and template", [](auto& o) -> auto& { return o.model; }).input();
  keys.include(token_keys(), [](auto& o) -> auto& { return o.tokens; });
  return keys;
}

class Shower {
 public:
  explicit Shower(const Show& show) : show_(show), colour_(show.in_colour()), file_(show.output) {
    text_.load(show.model, !show.tokens.tokenize.raw, show.tokens.chat_template);
  }

  /// Until as many rows are shown as were asked for. The file appears whole.
  void run() {
    data::RejectedRows rejected;
    data::RowReader reader(show_.inputs, rejected);
    std::vector<data::Row> rows;
    while (shown_ < show_.rows && reader.next(rows)) {
      for (size_t i = 0; i < rows.size() && shown_ < show_.rows; ++i) try_row(rows[i]);
    }
    if (shown_ == 0) fail_empty();
    file_.commit();
  }
  const data::ColumnReport& columns() const { return columns_; }

 private:
  void try_row(const data::Row& row) {
    bool asked = false;
    try {
      shown_ += show_row(row, asked);
    } catch (const Error& error) {
      if (error.kind() != Error::Kind::input || (asked && !show_.id.empty())) throw;
      if (show_.id.empty()) log_warning("{}", error.what());
      ++broken_;
    }
  }

  /// Whether the row was shown; `asked`: it is the one that was asked for. Throws Error when it cannot be read.
  bool show_row(const data::Row& row, bool& asked) {
    auto value = data::parse_row(row);
    const std::string why = data::show_rejection(value, colour_);
    if (!why.empty() && value.is_null()) {
      if (show_.id.empty()) file_.write(why + "\n");
      return show_.id.empty();
    }
    asked = !show_.id.empty() && value.is_object() && value.contains("id") && value["id"] == show_.id;
    data::RowUse use;
    const auto example = data::example_from_row(value, data::Format::automatic, {}, row.where(), &use);
    if (!show_.id.empty() && example.id != show_.id) return false;
    asked = true;
    columns_.add(value, use);
    file_.write(why + data::show_example(example, colour_) + "\n");
    if (text_.tokenizer) file_.write(tokens_of(example) + "\n");
    return true;
  }

  /// Token by token under the model's tokenizer, as training takes the row.
  std::string tokens_of(const data::Example& example) const {
    std::string reason;
    bool truncated = false;
    const auto* chat = text_.chat ? &*text_.chat : nullptr;
    const auto show = [&](const auto& tokens) {
      return tokens ? data::show_tokens(*tokens, *text_.tokenizer, colour_) + (truncated ? "(cut)\n" : "")
                    : "nothing to learn: " + reason + "\n";
    };
    const auto& options = show_.tokens.tokenize;
    if (example.kind == data::Example::Kind::pair)
      return show(data::tokenize_pair(example, *text_.tokenizer, chat, options, reason, truncated));
    std::string all;
    for (const auto& row : data::supervised_rows(example, options)) {
      truncated = false;
      all += show(data::tokenize_sequence(row, *text_.tokenizer, chat, data::options_of_rows(options), reason, truncated));
    }
    return all;
  }

  void fail_empty() const {
    if (!show_.id.empty())
      fail(show_.id, "no row has this id{}", broken_ > 0 ? fmt::format("; {} rows could not be read", broken_) : "");
    if (broken_ > 0) fail(fmt::format("{}", fmt::join(show_.inputs, ", ")), "not one of {} rows can be shown", broken_);
  }

  const Show& show_;
  bool colour_;
  AtomicFile file_;
  ModelText text_;
  data::ColumnReport columns_;
  int64_t shown_ = 0, broken_ = 0;
};

Report run_show(Show& show, const KeyValues&) {
  Shower shower(show);
  shower.run();
  Report report;
  report.text = data::columns_text(shower.columns());
  if (!report.text.empty()) report.text.pop_back();
  report.warnings = data::column_warnings(shower.columns());
  return report;
}

}  // namespace

const Verb& show_verb() {
  static const Verb verb =
      make_verb({.group = "data",
                 .name = "show",
                 .summary = "Rows in the terminal: roles in colour, and token by token what is learnt",
                 .examples = "  $ fettle data show --input chats.jsonl\n"
                             "  $ fettle data show --input pairs.jsonl --id 8a1f… --model smollm2-135m-instruct"},
                show_keys(), {}, run_show);
  return verb;
}

}  // namespace fettle::verbs
