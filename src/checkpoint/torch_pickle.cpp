#include "checkpoint/torch_pickle.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <unordered_map>

#include "base/error.h"

namespace fettle {
namespace {

enum class Kind : uint8_t { none, boolean, integer, real, text, tuple, list, dict, global, storage, tensor };

/// Nodes refer to each other by index, so that no depth of nesting costs stack.
struct Node {
  Kind kind = Kind::none;
  int64_t integer = 0;
  std::string text;             ///< of a text, a global ("torch FloatStorage"), a storage (its key)
  std::vector<uint32_t> items;  ///< of a dict: key, value, key, …; of a tensor: storage, offset, shape, strides
};

class Unpickler {
 public:
  Unpickler(std::span<const std::byte> bytes, std::string_view where) : bytes_(bytes), where_(where) {}

  uint32_t run() {
    while (true) {
      const auto code = static_cast<uint8_t>(take(1)[0]);
      if (code == '.') return pop();
      if (!push_value(code) && !push_number(code) && !build(code) && !remember(code)) unknown(code);
    }
  }
  const Node& node(uint32_t index) const { return nodes_[index]; }
  size_t position() const { return at_; }

 private:
  [[noreturn]] void broken(std::string_view what) const { fail(where_, "the pickle is broken at byte {}: {}", at_, what); }
  [[noreturn]] void unknown(uint8_t code) const {
    fail(where_,
         "the pickle has the instruction 0x{:02x} at byte {}, which no file of tensors needs; save it as safetensors",
         code, at_ - 1);
  }

  std::span<const std::byte> take(size_t count) {
    if (count > bytes_.size() - at_) broken("it ends too early");
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }
  uint64_t number(size_t width) {
    uint64_t value = 0;
    std::memcpy(&value, take(width).data(), width);
    return value;
  }
  std::string text(uint64_t length) {
    if (length > bytes_.size() - at_) broken("a text is longer than the rest");
    const auto piece = take(static_cast<size_t>(length));
    return {reinterpret_cast<const char*>(piece.data()), piece.size()};
  }
  std::string line() {
    const auto* begin = reinterpret_cast<const char*>(bytes_.data()) + at_;
    const std::string_view rest(begin, bytes_.size() - at_);
    const size_t end = rest.find('\n');
    if (end == std::string_view::npos || end > 256) broken("a name has no end");
    at_ += end + 1;
    return std::string(rest.substr(0, end));
  }

  void push(Node node) {
    if (nodes_.size() >= UINT32_MAX) broken("it is too long");
    nodes_.push_back(std::move(node));
    stack_.push_back(static_cast<uint32_t>(nodes_.size() - 1));
  }
  uint32_t pop() {
    if (stack_.empty() || (!marks_.empty() && stack_.size() <= marks_.back())) broken("nothing is on the stack");
    const uint32_t index = stack_.back();
    stack_.pop_back();
    return index;
  }
  std::vector<uint32_t> pop_many(size_t count) {
    std::vector<uint32_t> items(count);
    for (size_t i = count; i-- > 0;) items[i] = pop();
    return items;
  }
  std::vector<uint32_t> pop_to_mark() {
    if (marks_.empty()) broken("there is no mark");
    const size_t mark = marks_.back();
    std::vector<uint32_t> items(stack_.begin() + static_cast<std::ptrdiff_t>(mark), stack_.end());
    stack_.resize(mark);
    marks_.pop_back();
    return items;
  }
  Node& top(Kind kind) {
    if (stack_.empty() || nodes_[stack_.back()].kind != kind) broken("a list or dictionary was expected on the stack");
    return nodes_[stack_.back()];
  }

  bool push_value(uint8_t code);
  bool push_number(uint8_t code);
  bool build(uint8_t code);
  bool remember(uint8_t code);
  void push_long();
  void push_global(const std::string& module, const std::string& name);
  void push_storage(uint32_t id);
  void reduce();
  void set_state();

  std::span<const std::byte> bytes_;
  std::string_view where_;
  size_t at_ = 0;
  std::vector<Node> nodes_;
  std::vector<uint32_t> stack_;
  std::vector<size_t> marks_;
  std::unordered_map<uint64_t, uint32_t> memo_;
};

bool Unpickler::push_value(uint8_t code) {
  switch (code) {
    case 'N':
      push({});
      return true;
    case 0x88:
    case 0x89:
      push({Kind::boolean, code == 0x88, {}, {}});
      return true;
    case 'U':
    case 0x8c:
      push({Kind::text, 0, text(number(1)), {}});
      return true;
    case 'T':
    case 'X':
      push({Kind::text, 0, text(number(4)), {}});
      return true;
    case 0x8d:
      push({Kind::text, 0, text(number(8)), {}});
      return true;
    case ')':
      push({Kind::tuple, 0, {}, {}});
      return true;
    case ']':
      push({Kind::list, 0, {}, {}});
      return true;
    case '}':
      push({Kind::dict, 0, {}, {}});
      return true;
    default:
      return false;
  }
}

bool Unpickler::push_number(uint8_t code) {
  switch (code) {
    case 'K':
      push({Kind::integer, static_cast<int64_t>(number(1)), {}, {}});
      return true;
    case 'M':
      push({Kind::integer, static_cast<int64_t>(number(2)), {}, {}});
      return true;
    case 'J':
      push({Kind::integer, static_cast<int32_t>(static_cast<uint32_t>(number(4))), {}, {}});
      return true;
    case 'G':
      take(8);
      push({Kind::real, 0, {}, {}});
      return true;
    case 0x8a:
      push_long();
      return true;
    default:
      return false;
  }
}

/// Little-endian, two's complement. The magic number of torch's old format is longer than 64 bits: its low ones do.
void Unpickler::push_long() {
  const size_t width = number(1);
  const auto piece = take(width);
  uint64_t value = width > 0 && (static_cast<uint8_t>(piece[width - 1]) & 0x80U) != 0 ? UINT64_MAX : 0;
  std::memcpy(&value, piece.data(), std::min<size_t>(width, sizeof(value)));
  push({Kind::integer, static_cast<int64_t>(value), {}, {}});
}

bool Unpickler::build(uint8_t code) {
  switch (code) {
    case '(':
      marks_.push_back(stack_.size());
      return true;
    case 't':
      push({Kind::tuple, 0, {}, pop_to_mark()});
      return true;
    case 0x85:
    case 0x86:
    case 0x87:
      push({Kind::tuple, 0, {}, pop_many(code - 0x84U)});
      return true;
    case 'a': {
      const uint32_t item = pop();
      top(Kind::list).items.push_back(item);
      return true;
    }
    case 's':
    case 'e':
    case 'u': {
      const std::vector<uint32_t> items = code == 's' ? pop_many(2) : pop_to_mark();
      if (code != 'e' && items.size() % 2 != 0) broken("a key has no value");
      Node& to = top(code == 'e' ? Kind::list : Kind::dict);
      to.items.insert(to.items.end(), items.begin(), items.end());
      return true;
    }
    case 'R':
      reduce();
      return true;
    case 'b':
      set_state();
      return true;
    case 'Q':
      push_storage(pop());
      return true;
    default:
      return false;
  }
}

bool Unpickler::remember(uint8_t code) {
  switch (code) {
    case 0x80:
      take(1);
      return true;
    case 0x95:
      take(8);
      return true;
    case 'q':
    case 'r':
    case 0x94: {
      if (stack_.empty()) broken("nothing is on the stack");
      const uint64_t key = code == 0x94 ? memo_.size() : number(code == 'q' ? 1 : 4);
      memo_[key] = stack_.back();
      return true;
    }
    case 'h':
    case 'j': {
      const auto found = memo_.find(number(code == 'h' ? 1 : 4));
      if (found == memo_.end()) broken("it refers to a value that there is not");
      stack_.push_back(found->second);
      return true;
    }
    case 'c': {
      const std::string module = line();
      push_global(module, line());
      return true;
    }
    case 0x93: {
      const uint32_t name = pop(), module = pop();
      if (nodes_[name].kind != Kind::text || nodes_[module].kind != Kind::text) broken("a name is no text");
      push_global(std::string(nodes_[module].text), std::string(nodes_[name].text));
      return true;
    }
    default:
      return false;
  }
}

void Unpickler::push_global(const std::string& module, const std::string& name) {
  const std::string whole = module + "." + name;
  static constexpr std::string_view known[] = {"collections.OrderedDict", "torch._utils._rebuild_tensor_v2",
                                               "torch._utils._rebuild_tensor", "torch._utils._rebuild_parameter"};
  const bool storage = module == "torch" && name.ends_with("Storage");
  if (!storage && std::find(std::begin(known), std::end(known), whole) == std::end(known)) {
    fail(where_,
         "the pickle asks for '{}', which no file of tensors needs: nothing of it is run; save it as safetensors",
         whole.substr(0, 200));
  }
  push({Kind::global, 0, storage ? name : whole, {}});
}

/// ("storage", type, key, device, elements[, view])
void Unpickler::push_storage(uint32_t id) {
  const std::vector<uint32_t>& items = nodes_[id].items;
  const auto is = [&](size_t i, Kind kind) { return nodes_[items[i]].kind == kind; };
  const bool good = nodes_[id].kind == Kind::tuple && (items.size() == 5 || items.size() == 6) && is(0, Kind::text) &&
                    nodes_[items[0]].text == "storage" && is(1, Kind::global) && is(2, Kind::text) &&
                    is(4, Kind::integer);
  if (!good) broken("a storage is described in an unknown way");
  if (items.size() == 6 && !is(5, Kind::none))
    fail(where_, "a tensor is a view of another storage, as very old files have them; save it as safetensors");
  push({Kind::storage, nodes_[items[4]].integer, nodes_[items[2]].text, {items[1]}});
}

void Unpickler::reduce() {
  const uint32_t arguments = pop(), callable = pop();
  if (nodes_[callable].kind != Kind::global || nodes_[arguments].kind != Kind::tuple) broken("it calls what is no function");
  const std::string name = nodes_[callable].text;
  const std::vector<uint32_t> items = nodes_[arguments].items;
  if (name == "collections.OrderedDict" && items.empty()) {
    push({Kind::dict, 0, {}, {}});
  } else if (name == "torch._utils._rebuild_parameter" && !items.empty() && nodes_[items[0]].kind == Kind::tensor) {
    stack_.push_back(items[0]);
  } else if (name.starts_with("torch._utils._rebuild_tensor") && items.size() >= 4 &&
             nodes_[items[0]].kind == Kind::storage && nodes_[items[1]].kind == Kind::integer &&
             nodes_[items[2]].kind == Kind::tuple && nodes_[items[3]].kind == Kind::tuple) {
    push({Kind::tensor, 0, {}, {items.begin(), items.begin() + 4}});
  } else {
    fail(where_, "the pickle calls '{}' in a way that no file of tensors needs; save it as safetensors", name);
  }
}

/// OrderedDict's attributes (a module's versions) mean nothing here.
void Unpickler::set_state() {
  pop();
  if (stack_.empty() || nodes_[stack_.back()].kind != Kind::dict)
    fail(where_, "the pickle sets the state of an object that is no dictionary; save it as safetensors");
}

std::vector<int64_t> integers(const Unpickler& pickle, uint32_t tuple, std::string_view where) {
  std::vector<int64_t> result;
  for (const uint32_t item : pickle.node(tuple).items) {
    if (pickle.node(item).kind != Kind::integer) fail(where, "a tensor's shape is not made of whole numbers");
    result.push_back(pickle.node(item).integer);
  }
  return result;
}

PickledTensor tensor_of(const Unpickler& pickle, const Node& name, const Node& value, std::string_view where) {
  if (name.kind != Kind::text) fail(where, "a name in the dictionary of tensors is no text");
  if (value.kind != Kind::tensor) fail(where, "'{}' is no tensor; a dictionary of tensors was expected", name.text);
  const Node& storage = pickle.node(value.items[0]);
  PickledTensor tensor;
  tensor.name = name.text;
  tensor.storage = storage.text;
  tensor.storage_type = pickle.node(storage.items[0]).text;
  tensor.storage_elements = storage.integer;
  tensor.offset = pickle.node(value.items[1]).integer;
  tensor.shape = integers(pickle, value.items[2], where);
  tensor.strides = integers(pickle, value.items[3], where);
  return tensor;
}

}  // namespace

PickledFile parse_pickle(std::span<const std::byte> bytes, PickleOf kind, std::string_view where) {
  Unpickler pickle(bytes, where);
  const Node& root = pickle.node(pickle.run());
  PickledFile file;
  file.bytes = pickle.position();
  const Kind expected = kind == PickleOf::integer ? Kind::integer : kind == PickleOf::texts ? Kind::list : Kind::dict;
  if (root.kind != expected)
    fail(where, "the pickle holds something else than {}",
         kind == PickleOf::tensors ? "a dictionary of tensors" : "the next part of torch's old format");
  file.integer = root.integer;
  for (size_t i = 0; i + 1 < root.items.size() && kind == PickleOf::tensors; i += 2)
    file.tensors.push_back(tensor_of(pickle, pickle.node(root.items[i]), pickle.node(root.items[i + 1]), where));
  for (size_t i = 0; i + 1 < root.items.size() && kind == PickleOf::system; i += 2) {
    if (pickle.node(root.items[i]).text == "little_endian")
      file.little_endian = pickle.node(root.items[i + 1]).integer != 0;
  }
  for (size_t i = 0; i < root.items.size() && kind == PickleOf::texts; ++i)
    file.texts.push_back(pickle.node(root.items[i]).text);
  return file;
}

}  // namespace fettle
