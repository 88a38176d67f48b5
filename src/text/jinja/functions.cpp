// The global functions of a template.
#include <array>
#include <ctime>

#include "text/jinja/interpreter.h"

namespace fettle::jinja {
namespace {

Value range(Interpreter& run, const Arguments& arguments) {
  const Bound bound("range", arguments, {"start", "stop", "step"});
  bound.required(0);
  const bool single = arguments.positional.size() == 1;
  const int64_t start = single ? 0 : bound.integer(0, 0);
  const int64_t stop = single ? bound.integer(0, 0) : bound.integer(1, 0);
  const int64_t step = bound.integer(2, 1);
  if (step == 0) raise("range: the step cannot be zero");
  constexpr int64_t kMaxRange = 100000;  // as Jinja's sandbox
  std::vector<Value> items;
  int64_t at = start;
  while (step > 0 ? at < stop : at > stop) {
    if (static_cast<int64_t>(items.size()) >= kMaxRange) raise("range: more than {} items", kMaxRange);
    items.emplace_back(at);
    if (__builtin_add_overflow(at, step, &at)) break;
  }
  run.charge(static_cast<int64_t>(items.size()));
  auto list = std::make_shared<List>();
  list->weight += static_cast<int64_t>(items.size());
  list->items = std::move(items);
  list->kind = ListKind::range;
  list->label = step == 1 ? fmt::format("range({}, {})", start, stop)
                          : fmt::format("range({}, {}, {})", start, stop, step);
  return std::shared_ptr<const List>(std::move(list));
}

std::vector<std::pair<Value, Value>> dict_entries(const Arguments& arguments) {
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1) raise("dict takes one dict or list of pairs");
  for (const Value& source : arguments.positional) {
    if (const Dict* dict = source.dict()) {
      entries = dict->entries;
      continue;
    }
    for (const Value& item : iterate(source)) {
      const std::vector<Value> pair = iterate(item);
      if (pair.size() != 2) raise("dict: every item must be a pair");
      entries.emplace_back(pair[0], pair[1]);
    }
  }
  for (const auto& [name, value] : arguments.named) entries.emplace_back(Value::string(name), value);
  return entries;
}

Value dict(Interpreter& run, const Arguments& arguments) {
  auto entries = dict_entries(arguments);
  const auto count = static_cast<int64_t>(entries.size());
  run.charge(count + count * count / 16);
  return make_dict(std::move(entries));
}

Value namespace_function(Interpreter& run, const Arguments& arguments) {
  Namespace* space = run.new_namespace();
  for (auto& [key, value] : dict_entries(arguments)) {
    run.charge(1 + static_cast<int64_t>(space->entries.size() / 16));
    if (!key.is_string()) raise("namespace: names must be strings");
    const std::string& name = key.text()->bytes();
    if (name.starts_with("_"))
      raise("a namespace cannot hold '{}': the name begins with an underscore", name);
    if (Value* known = space->find(name)) {
      *known = value;
    } else {
      space->entries.emplace_back(name, value);
    }
  }
  return space;
}

Value raise_exception(Interpreter&, const Arguments& arguments) {
  const Bound bound("raise_exception", arguments, {"message"});
  raise("the template refuses this conversation: {}", to_text(bound.required(0)).bytes());
}

Value strftime_now(Interpreter& run, const Arguments& arguments) {
  const std::string format = Bound("strftime_now", arguments, {"format"}).required_text(0).bytes();
  if (format.empty()) return Text();
  const std::time_t now = run.now() ? static_cast<std::time_t>(*run.now()) : std::time(nullptr);
  std::tm parts{};
  if (localtime_r(&now, &parts) == nullptr) raise("strftime_now: the clock is out of range");
  std::array<char, 4096> buffer{};
  // A leading mark tells an empty result from one that does not fit.
  const size_t size = std::strftime(buffer.data(), buffer.size(), ("." + format).c_str(), &parts);
  if (size == 0) raise("strftime_now: the result of '{}' is too long", format.substr(0, 40));
  return Text(std::string(buffer.data() + 1, size - 1));
}

}  // namespace

const std::vector<std::pair<std::string, Value>>& global_functions() {
  using Function = Value (*)(Interpreter&, const Arguments&);
  static const auto functions = [] {
    std::vector<std::pair<std::string, Value>> out;
    for (const auto& [name, function] :
         std::initializer_list<std::pair<const char*, Function>>{{"range", range},
                                                                 {"dict", dict},
                                                                 {"namespace", namespace_function},
                                                                 {"raise_exception", raise_exception},
                                                                 {"strftime_now", strftime_now}}) {
      auto callable = std::make_shared<Callable>();
      callable->name = std::string("function ") + name;
      callable->call = function;
      out.emplace_back(name, std::shared_ptr<const Callable>(std::move(callable)));
    }
    return out;
  }();
  return functions;
}

}  // namespace fettle::jinja
