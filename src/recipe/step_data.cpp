#include <algorithm>

#include "base/hash.h"
#include "base/input_fault.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "data/files/reader.h"
#include "data/files/unread_input.h"
#include "data/files/writer.h"
#include "data/rows/example.h"
#include "data/rows/rejected.h"
#include "data/signals/truecase.h"
#include "recipe/steps.h"

namespace fettle {
namespace {

void for_each_message(data::Example& example, const std::function<void(Message&)>& change) {
  for (auto* content : {&example.prompt, &example.completion, &example.rejected}) {
    for (auto& message : content->messages) change(message);
  }
}

/// Texts become turns, so that a row of one format can be written in another.
void as_chat(data::Content& content, const char* role) {
  if (content.is_chat || content.text.empty()) return;
  content.messages = {{role, content.text, 1.0, nullptr}};
  content.text.clear();
  content.is_chat = true;
}

/// What the step does to each row.
struct Plan {
  std::vector<std::string> inputs;
  std::string format = "auto";
  data::Format input_format = data::Format::automatic, output_format = data::Format::messages;
  data::Columns columns;
  bool truecase = false, empty_system = false;
  std::vector<std::string> drop_phrases;
  int64_t limit = 0;
  double hold_out = 0.0;
};

const KeyTable<Plan>& plan_keys() {
  using data::Format;
  static const auto table = [] {
    KeyTable<Plan> keys;
    keys.add("input", "Files, folders or patterns", [](auto& o) -> auto& { return o.inputs; }).input().required();
    keys.choice<Format>("as", "What the rows become", {{"messages", Format::messages}, {"pair", Format::pair}},
                        [](auto& o) -> auto& { return o.output_format; })
        .alias("to");
    keys.add("format", "The rows' format; auto: by their keys", [](auto& o) -> auto& { return o.format; }).alias("from");
    keys.add("columns", "Which column stands for a format's key", [](auto& o) -> auto& { return o.columns; });
    keys.add("truecase", "Repair capital letters", [](auto& o) -> auto& { return o.truecase; });
    keys.add("drop_phrases", "Drop rows in which the assistant says one of these", [](auto& o) -> auto& { return o.drop_phrases; });
    keys.add("empty_system", "An empty system turn before conversations without one", [](auto& o) -> auto& { return o.empty_system; });
    keys.add("limit", "Only so many rows; 0: all", [](auto& o) -> auto& { return o.limit; }).at_least(0);
    keys.add("hold_out", "Share of the rows that goes to the output `eval`", [](auto& o) -> auto& { return o.hold_out; }).between(0, 0.999999);
    return keys;
  }();
  return table;
}

Plan plan_of(const OrderedJson& params) {
  Plan plan;
  plan_keys().read(KeyValues(plan_keys().infos(), params, {}), plan);
  plan.input_format = data::format_from_name(plan.format);
  return plan;
}

/// The row as it is to be written, or why it is dropped.
std::optional<OrderedJson> convert(const OrderedJson& row, const Plan& plan, const std::string& where, std::string& reason) {
  data::Example example = data::example_from_row(row, plan.input_format, plan.columns, where);
  if (plan.output_format == data::Format::messages) {
    auto supervised = data::as_supervised(example);
    if (!supervised) {
      reason = "no wanted answer";
      return std::nullopt;
    }
    example = std::move(*supervised);
  } else if (example.kind != data::Example::Kind::pair) {
    reason = "not a preference pair";
    return std::nullopt;
  }
  as_chat(example.prompt, "user");
  as_chat(example.completion, "assistant");
  as_chat(example.rejected, "assistant");
  if (plan.output_format == data::Format::messages && example.kind == data::Example::Kind::completion) {
    example.completion.messages.insert(example.completion.messages.begin(), example.prompt.messages.begin(), example.prompt.messages.end());
    example.prompt = {};
    example.kind = data::Example::Kind::conversation;
  }
  int phrase = -1;
  for_each_message(example, [&](Message& message) {
    if (message.role == "assistant" && phrase < 0) phrase = data::find_phrase(message.content, plan.drop_phrases);
    if (plan.truecase) message.content = data::truecase(message.content);
  });
  if (phrase >= 0) {
    reason = "phrase: " + plan.drop_phrases[static_cast<size_t>(phrase)];
    return std::nullopt;
  }
  auto& head = example.prompt.is_chat ? example.prompt.messages : example.completion.messages;
  if (plan.empty_system && (head.empty() || head.front().role != "system")) head.insert(head.begin(), {"system", "", 1.0, nullptr});
  return data::example_to_row(example, plan.output_format);
}

/// {do: data, input, as: messages|pair, …}: one file of rows in one format, and with `hold_out` a second one, `eval`, chosen
/// by hash of the row's id so that adding rows never moves one from one side to the other.
class DataStep final : public StepKind {
 public:
  std::string_view name() const override { return "data"; }
  std::string_view summary() const override { return "Rows of any known format into one"; }
  const std::vector<KeyInfo>& keys() const override { return plan_keys().infos(); }
  std::vector<std::string> further_outputs() const override { return {"eval", "rejected", "report"}; }
  void check(const Step& step) const override { plan_of(step.params); }
  std::vector<std::string> file_params() const override { return {"input.*", "input"}; }

  Outputs run(const StepContext& context) const override {
    const Plan plan = plan_of(context.params);
    data::RejectedRows rejected(context.folder / "rejected.jsonl");
    data::InputTally tally;
    data::RowReader reader(plan.inputs, rejected);
    data::RowWriter train(context.folder / "train.jsonl"), eval(context.folder / "eval.jsonl");
    Progress progress("data", 0, "rows");
    int64_t in = 0, kept = 0, held_out = 0;
    std::vector<data::Row> batch;
    std::vector<OrderedJson> values;
    while (reader.next(batch, values) && (plan.limit == 0 || in < plan.limit)) {
      throw_if_interrupted();
      for (size_t i = 0; i < values.size() && (plan.limit == 0 || in < plan.limit); ++i) {
        ++in;
        progress.advance();
        std::string reason, detail;
        std::optional<OrderedJson> row;
        try {
          row = convert(values[i], plan, batch[i].where(), reason);
        } catch (const Error& error) {
          rethrow_unless_of_input(error);
          reason = data::reason_of(error);
          detail = error.what();
        }
        detail.empty() ? tally.read(*batch[i].file) : tally.broken(*batch[i].file, detail);
        if (!row) {
          rejected.add({*batch[i].file, batch[i].line, reason, detail, "", batch[i].text});
          continue;
        }
        const std::string id = row->value("id", "");
        const bool hold = plan.hold_out > 0 && static_cast<double>(hash64(id) >> 11) * 0x1.0p-53 < plan.hold_out;
        (hold ? eval : train).write(*row);
        ++(hold ? held_out : kept);
      }
    }
    if (const auto unread = tally.unread(); kept > 0 && !unread.empty())
      fail(unread.front().file, "not one row of it could be read: {}", unread.front().reason);
    if (kept == 0) {
      std::string first = rejected.first().empty() ? "" : "; the first: " + rejected.first().front().detail;
      fail(fmt::format("{}", context.params.at("input").dump()), "no row is left of {}{}", in, first);
    }
    train.commit();
    eval.commit();
    rejected.commit();
    OrderedJson reasons = OrderedJson::object();
    for (const auto& [reason, count] : rejected.by_reason()) reasons[reason] = count;
    write_file(context.folder / "report.json",
               dump_json(OrderedJson{{"in", in}, {"out", kept}, {"held_out", held_out}, {"rejected", rejected.count()}, {"reasons", reasons}}, 1));
    return {{"", (context.folder / "train.jsonl").string()},
            {"eval", (context.folder / "eval.jsonl").string()},
            {"rejected", (context.folder / "rejected.jsonl").string()},
            {"report", (context.folder / "report.json").string()}};
  }
};

}  // namespace

const StepKind& data_step() {
  static const DataStep step;
  return step;
}

}  // namespace fettle
