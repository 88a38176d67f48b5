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
#include "recipe/canonical_params.h"
#include "recipe/params.h"
#include "recipe/steps.h"

namespace fettle {
namespace {

const std::vector<std::string> known_params{"input", "as", "format", "columns", "truecase", "drop_phrases", "empty_system", "limit", "hold_out"};

std::vector<std::string> string_list(const OrderedJson& value, const char* key) {
  if (value.is_string()) return {value.get<std::string>()};
  if (!value.is_array()) fail_usage("{} must be a text or a list of texts", key);
  std::vector<std::string> list;
  for (const auto& item : value) {
    if (!item.is_string()) fail_usage("{} must be a list of texts, found {}", key, item.dump());
    list.push_back(item.get<std::string>());
  }
  return list;
}

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

/// What the step does to each row, parsed once.
struct Plan {
  data::Format input_format = data::Format::automatic, output_format = data::Format::messages;
  data::Columns columns;
  bool truecase = false, empty_system = false;
  std::vector<std::string> drop_phrases;
  int64_t limit = 0;
  double hold_out = 0.0;

  explicit Plan(const OrderedJson& params) {
    const std::string as = param_or(params, "as", "messages");
    output_format = data::format_from_name(as);
    if (output_format != data::Format::messages && output_format != data::Format::pair) fail_usage("as: {}: messages or pair", as);
    if (params.contains("format")) input_format = data::format_from_name(param<std::string>(params, "format"));
    if (params.contains("columns")) {
      for (const auto& [key, value] : params["columns"].items()) columns[key] = param_as<std::string>(value, "columns");
    }
    truecase = param_or(params, "truecase", false);
    empty_system = param_or(params, "empty_system", false);
    if (params.contains("drop_phrases")) drop_phrases = string_list(params["drop_phrases"], "drop_phrases");
    limit = param_or(params, "limit", int64_t{0});
    hold_out = param_or(params, "hold_out", 0.0);
    if (hold_out < 0 || hold_out >= 1) fail_usage("hold_out: {} is no share between 0 and 1", hold_out);
  }
};

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
  void check(const Step& step) const override {
    Step own = step;
    own.params = canonical_params(step.params, flags());
    check_params(own, known_params, {"input"});
    Plan{own.params};
  }
  std::vector<std::string> file_params() const override { return {"input.*", "input"}; }

  Outputs run(const StepContext& given) const override {
    StepContext context = given;
    context.params = canonical_params(given.params, flags());
    const Plan plan(context.params);
    data::RejectedRows rejected(context.folder / "rejected.jsonl");
    data::InputTally tally;
    data::RowReader reader(string_list(context.params.at("input"), "input"), rejected);
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

 private:
  /// What `data convert` calls the same.
  static std::map<std::string, std::string> flags() { return {{"to", "as"}, {"from", "format"}}; }
};

}  // namespace

const StepKind& data_step() {
  static const DataStep step;
  return step;
}

}  // namespace fettle
