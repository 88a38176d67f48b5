#include <simdjson.h>

#include <optional>

#include "base/error.h"
#include "base/mapped_pages.h"
#include "data/parquet/writer.h"
#include "data/rows/parsed.h"

namespace fettle::data {
namespace {

using Element = simdjson::dom::element;
using Json = simdjson::dom::element_type;

/// What the values under one key have been so far.
struct Seen {
  enum Kind { nothing, boolean, integer, real, text, list, object } kind = nothing;
  std::string name;
  std::vector<Seen> children;  ///< one element, or the fields in order of appearance
};

constexpr const char* kind_names[] = {"null", "true or false", "a whole number", "a number",
                                      "text", "a list",        "an object"};

Seen::Kind kind_of(Element value) {
  switch (value.type()) {
    case Json::BOOL:
      return Seen::boolean;
    case Json::INT64:
      return Seen::integer;
    case Json::UINT64:
    case Json::DOUBLE:
      return Seen::real;
    case Json::STRING:
      return Seen::text;
    case Json::ARRAY:
      return Seen::list;
    case Json::OBJECT:
      return Seen::object;
    case Json::NULL_VALUE:
      break;
  }
  return Seen::nothing;
}

Seen& field_of(Seen& seen, std::string_view name, size_t expected) {
  auto& fields = seen.children;
  if (expected < fields.size() && fields[expected].name == name) return fields[expected];
  for (auto& field : fields) {
    if (field.name == name) return field;
  }
  fields.emplace_back();
  fields.back().name = name;
  return fields.back();
}

void learn(Seen& seen, Element value, const std::string& key) {
  const Seen::Kind kind = kind_of(value);
  if (kind == Seen::nothing) return;
  const bool numbers = (kind == Seen::integer && seen.kind == Seen::real) ||
                       (kind == Seen::real && seen.kind == Seen::integer);
  if (numbers) {
    seen.kind = Seen::real;
  } else if (seen.kind == Seen::nothing) {
    seen.kind = kind;
  } else if (seen.kind != kind) {
    fail(key.empty() ? "row" : key,
         "holds {} in one row and {} in another, and a Parquet column has one type; write JSON lines",
         kind_names[seen.kind], kind_names[kind]);
  }
  if (kind == Seen::list) {
    if (seen.children.empty()) seen.children.emplace_back();
    for (const auto item : simdjson::dom::array(value)) learn(seen.children.front(), item, key + "[]");
  } else if (kind == Seen::object) {
    size_t at = 0;
    for (const auto field : simdjson::dom::object(value)) {
      learn(field_of(seen, field.key, at++), field.value,
            key.empty() ? std::string(field.key) : key + "." + std::string(field.key));
    }
  }
}

ColumnType type_of(const Seen& seen);

/// Parquet has no structure without fields: an object that has no keys in any row gets one that is always
/// null, which readers leave out (or show as null).
ColumnType structure_of(const Seen& seen) {
  ColumnType type;
  type.kind = ColumnType::structure;
  for (const auto& field : seen.children) type.children.push_back(type_of(field));
  if (type.children.empty()) {
    type.children.emplace_back();
    type.children.back().name = "_";
  }
  return type;
}

/// Columns of which nothing but nulls is known become text.
ColumnType type_of(const Seen& seen) {
  ColumnType type;
  type.name = seen.name;
  switch (seen.kind) {
    case Seen::boolean:
      type.kind = ColumnType::boolean;
      break;
    case Seen::integer:
      type.kind = ColumnType::int64;
      break;
    case Seen::real:
      type.kind = ColumnType::float64;
      break;
    case Seen::list:
      type.kind = ColumnType::list;
      type.children.push_back(type_of(seen.children.front()));
      break;
    case Seen::object:
      type = structure_of(seen);
      type.name = seen.name;
      break;
    case Seen::nothing:
    case Seen::text:
      break;
  }
  return type;
}

/// Writes one row's values into the leaves.
class Shredder {
 public:
  explicit Shredder(ParquetWriter& writer) : writer_(writer) {}

  void row(simdjson::dom::object object) {
    size_t leaf = 0;
    fields(writer_.columns(), object, leaf, 0, 0, 0);
    writer_.end_row();
  }

 private:
  void fields(const std::vector<ColumnType>& columns, simdjson::dom::object object, size_t& leaf,
              int repetition, int definition, int depth) {
    for (const auto& column : columns) {
      Element value;
      const bool missing = object[column.name].get(value) != simdjson::SUCCESS;
      put(column, missing ? std::optional<Element>() : value, leaf, repetition, definition, depth);
    }
  }
  /// `definition` is the level of what holds the value, `depth` how many lists stand around it.
  void put(const ColumnType& column, std::optional<Element> value, size_t& leaf, int repetition,
           int definition, int depth) {
    if (!value || value->is_null()) {
      nulls(column, leaf, repetition, definition);
      return;
    }
    switch (column.kind) {
      case ColumnType::boolean:
        writer_.put_integer(leaf++, repetition, bool(*value));
        break;
      case ColumnType::int32:
      case ColumnType::int64:
        writer_.put_integer(leaf++, repetition, int64_t(*value));
        break;
      case ColumnType::float32:
      case ColumnType::float64:
        writer_.put_real(leaf++, repetition, double(*value));
        break;
      case ColumnType::text:
        writer_.put_text(leaf++, repetition, std::string_view(*value));
        break;
      case ColumnType::structure:
        fields(column.children, simdjson::dom::object(*value), leaf, repetition, definition + 1, depth);
        break;
      case ColumnType::list:
        put_list(column, simdjson::dom::array(*value), leaf, repetition, definition, depth);
        break;
    }
  }
  void put_list(const ColumnType& column, simdjson::dom::array items, size_t& leaf, int repetition,
                int definition, int depth) {
    const size_t first = leaf;
    bool any = false;
    for (const auto item : items) {
      leaf = first;
      put(column.children.front(), item, leaf, any ? depth + 1 : repetition, definition + 2, depth + 1);
      any = true;
    }
    if (!any) nulls(column.children.front(), leaf, repetition, definition + 1);
  }
  void nulls(const ColumnType& column, size_t& leaf, int repetition, int definition) {
    if (column.children.empty()) {
      writer_.put_null(leaf++, repetition, definition);
    } else {
      for (const auto& child : column.children) nulls(child, leaf, repetition, definition);
    }
  }

  ParquetWriter& writer_;
};

}  // namespace

struct ParquetRows::Impl {
  fs::path path;
  TemporaryFolder folder;
  std::unique_ptr<AtomicFile> waiting;
  simdjson::dom::parser parser;
  Seen seen;

  explicit Impl(const fs::path& target) : path(target) {
    waiting = std::make_unique<AtomicFile>(folder.path() / "rows");
  }
};

ParquetRows::ParquetRows(const fs::path& path) : impl_(std::make_unique<Impl>(path)) {}
ParquetRows::~ParquetRows() = default;

void ParquetRows::add(std::string_view json_text) {
  Element row;
  if (!parsed(impl_->parser.parse(json_text.data(), json_text.size()).get(row)) || !row.is_object()) {
    fail(impl_->path.string(), "a row that is no JSON object cannot go into a Parquet file");
  }
  learn(impl_->seen, row, "");
  impl_->waiting->write(json_text);
  impl_->waiting->write("\n");
}

void ParquetRows::commit() {
  impl_->waiting->commit();
  std::vector<ColumnType> columns;
  for (const auto& field : impl_->seen.children) columns.push_back(type_of(field));
  ParquetWriter writer(impl_->path, std::move(columns));
  Shredder shredder(writer);
  const MappedFile rows(impl_->folder.path() / "rows");
  size_t touched = 0;
  for (std::string_view text = rows.text(); !text.empty();) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // the file was cut
    touched += end;
    if (touched > size_t{64} << 20) {
      forget_pages(rows);
      touched = 0;
    }
    Element row;
    const bool whole = parsed(impl_->parser.parse(text.data(), end).get(row)) && row.is_object();
    check_mapped(rows);
    FETTLE_CHECK(whole);
    shredder.row(simdjson::dom::object(row));
    text.remove_prefix(end + 1);
  }
  check_mapped(rows);
  writer.commit();
}

}  // namespace fettle::data
