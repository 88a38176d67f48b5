#include "data/parquet/format.h"

#include <algorithm>
#include <cstring>

#include "data/parquet/thrift.h"

namespace fettle::data {
namespace {

using Type = ThriftReader::Type;

int64_t seconds_unit(ThriftReader& reader) {
  int64_t unit = 1000;
  reader.fields([&](int64_t id, Type type) {
    unit = id == 1 ? 1000 : id == 2 ? 1000000 : 1000000000;
    reader.skip(type);
  });
  return unit;
}

/// The logical type that newer writers state.
void read_logical(ThriftReader& reader, ParquetNode& node) {
  reader.fields([&](int64_t id, Type type) {
    using M = ParquetMeaning;
    if (id == 1 || id == 12 || id == 4) node.is_text = true;
    const M meanings[] = {M::plain, M::plain, M::map, M::list, M::plain, M::decimal, M::date, M::time, M::timestamp};
    if (id >= 2 && id <= 8 && id != 4) node.meaning = meanings[id];
    if (id == 14) node.meaning = M::uuid;
    if (id == 15) node.meaning = M::float16;
    if (id >= 16) node.meaning = M::variant;
    if (type != ThriftReader::structure) return reader.skip(type);
    reader.fields([&](int64_t inner, Type inner_type) {
      if (id == 5 && inner == 1) {
        node.scale = static_cast<int32_t>(reader.number());
      } else if ((id == 7 || id == 8) && inner == 2 && inner_type == ThriftReader::structure) {
        node.unit = seconds_unit(reader);
      } else {
        if (id == 10 && inner == 2 && inner_type == ThriftReader::no) node.meaning = M::unsigned_number;
        reader.skip(inner_type);
      }
    });
  });
}

/// The converted type of older writers.
void apply_converted(int64_t converted, ParquetNode& node) {
  using M = ParquetMeaning;
  if (converted == 0 || converted == 4 || converted == 19) node.is_text = true;
  if (node.meaning != M::plain) return;
  if (converted == 1 || converted == 2) node.meaning = M::map;
  if (converted == 3) node.meaning = M::list;
  if (converted == 5) node.meaning = M::decimal;
  if (converted == 6) node.meaning = M::date;
  if (converted == 7 || converted == 8) node.meaning = M::time;
  if (converted == 9 || converted == 10) node.meaning = M::timestamp;
  if (converted == 7 || converted == 9) node.unit = 1000;
  if (converted == 8 || converted == 10) node.unit = 1000000;
  if (converted >= 11 && converted <= 14) node.meaning = M::unsigned_number;
  if (converted == 21) node.meaning = M::interval;
}

struct Element {
  ParquetNode node;
  int64_t children = 0;
};

Element read_element(ThriftReader& reader, std::string_view where) {
  Element element;
  auto& node = element.node;
  int64_t converted = -1;
  reader.fields([&](int64_t id, Type type) {
    if (id == 1) {
      const int64_t number = reader.number();
      if (number < 0 || number > 7) fail(where, "a column has the unknown Parquet type {}", number);
      node.type = static_cast<ParquetType>(number);
    } else if (id == 2) {
      node.type_length = static_cast<int32_t>(reader.number());
    } else if (id == 3) {
      const int64_t number = reader.number();
      if (number < 0 || number > 2) fail(where, "a column has the unknown repetition {}", number);
      node.repetition = static_cast<ParquetNode::Repetition>(number);
    } else if (id == 4) {
      node.name = reader.text();
    } else if (id == 5) {
      element.children = reader.number();
    } else if (id == 6) {
      converted = reader.number();
    } else if (id == 7) {
      node.scale = static_cast<int32_t>(reader.number());
    } else if (id == 10 && type == ThriftReader::structure) {
      read_logical(reader, node);
    } else {
      reader.skip(type);
    }
  });
  apply_converted(converted, node);
  return element;
}

/// The flat list of elements as a tree, with levels and leaves numbered.
ParquetNode build(std::vector<Element>& elements, size_t& next, int definition, int repetition, size_t& leaves,
                  int depth, std::string_view where) {
  if (next >= elements.size() || depth > 64) fail(where, "the Parquet schema is damaged");
  Element& element = elements[next++];
  ParquetNode node = std::move(element.node);
  if (depth > 0) {
    definition += node.repetition != ParquetNode::required;
    repetition += node.repetition == ParquetNode::repeated;
  }
  node.definition = definition;
  node.repetition_level = repetition;
  node.first_leaf = leaves;
  for (int64_t i = 0; i < element.children; ++i) {
    node.children.push_back(build(elements, next, definition, repetition, leaves, depth + 1, where));
  }
  if (element.children <= 0 && depth > 0) ++leaves;
  node.leaf_count = leaves - node.first_leaf;
  if (depth > 0 && node.leaf_count == 0) fail(where, "the Parquet schema has a group without columns");
  return node;
}

ParquetChunk read_chunk(ThriftReader& reader) {
  ParquetChunk chunk;
  reader.fields([&](int64_t id, Type type) {
    if (id == 1 && type == ThriftReader::binary) {
      chunk.elsewhere = !reader.text().empty();
      return;
    }
    chunk.encrypted = chunk.encrypted || id == 8;
    if (id != 3 || type != ThriftReader::structure) return reader.skip(type);
    reader.fields([&](int64_t inner, Type inner_type) {
      if (inner == 4) {
        chunk.codec = static_cast<int>(reader.number());
      } else if (inner == 5) {
        chunk.values = reader.number();
      } else if (inner == 7) {
        chunk.bytes = reader.number();
      } else if (inner == 9) {
        chunk.data_at = reader.number();
      } else if (inner == 11) {
        chunk.dictionary_at = reader.number();
      } else {
        reader.skip(inner_type);
      }
    });
  });
  return chunk;
}

ParquetGroup read_group(ThriftReader& reader) {
  ParquetGroup group;
  reader.fields([&](int64_t id, Type type) {
    if (id == 1 && type == ThriftReader::list) {
      reader.items([&](Type) { group.chunks.push_back(read_chunk(reader)); });
    } else if (id == 3) {
      group.rows = reader.number();
    } else {
      reader.skip(type);
    }
  });
  return group;
}

std::pair<std::string, std::string> read_pair(ThriftReader& reader) {
  std::pair<std::string, std::string> pair;
  reader.fields([&](int64_t id, Type type) {
    if (type != ThriftReader::binary) return reader.skip(type);
    (id == 1 ? pair.first : pair.second) = reader.text();
  });
  return pair;
}

void encode_node(ThriftWriter& writer, const ParquetNode& node, bool is_root) {
  writer.begin();
  const bool leaf = node.children.empty() && !is_root;
  if (leaf) writer.number(1, static_cast<int64_t>(node.type));
  if (!is_root) writer.number(3, node.repetition);
  writer.text(4, node.name);
  if (!leaf) writer.number(5, static_cast<int64_t>(node.children.size()));
  if (leaf && node.is_text) writer.number(6, 0);
  if (node.meaning == ParquetMeaning::list) writer.number(6, 3);
  if ((leaf && node.is_text) || node.meaning == ParquetMeaning::list) {
    writer.field(10, ThriftReader::structure);
    writer.begin();
    writer.field(node.is_text ? 1 : 3, ThriftReader::structure);
    writer.begin();
    writer.end();
    writer.end();
  }
  writer.end();
  for (const auto& child : node.children) encode_node(writer, child, false);
}

size_t count_nodes(const ParquetNode& node) {
  size_t count = 1;
  for (const auto& child : node.children) count += count_nodes(child);
  return count;
}

void encode_chunk(ThriftWriter& writer, const ParquetChunk& chunk) {
  writer.begin();
  writer.number(2, chunk.data_at, ThriftReader::i64);
  writer.field(3, ThriftReader::structure);
  writer.begin();
  writer.number(1, chunk.type);
  writer.list(2, 2, ThriftReader::i32);
  writer.put_number(0);
  writer.put_number(3);
  std::vector<std::string_view> names;
  for (size_t at = 0; at <= chunk.path.size();) {
    const size_t end = std::min(chunk.path.find('\0', at), chunk.path.size());
    names.push_back(std::string_view(chunk.path).substr(at, end - at));
    at = end + 1;
  }
  writer.list(3, names.size(), ThriftReader::binary);
  for (const auto name : names) writer.put_text(name);
  writer.number(4, chunk.codec);
  writer.number(5, chunk.values, ThriftReader::i64);
  writer.number(6, chunk.uncompressed_bytes, ThriftReader::i64);
  writer.number(7, chunk.bytes, ThriftReader::i64);
  writer.number(9, chunk.data_at, ThriftReader::i64);
  writer.end();
  writer.end();
}

}  // namespace

ParquetFooter parquet_footer(std::string_view file, std::string_view where) {
  constexpr std::string_view magic = "PAR1";
  if (file.size() < 12 || !file.starts_with(magic) || !file.ends_with(magic)) {
    if (file.ends_with("PARE")) fail(where, "is an encrypted Parquet file, which fettle cannot read");
    fail(where, "does not end as a Parquet file does; was it cut?");
  }
  uint32_t size = 0;
  std::memcpy(&size, file.data() + file.size() - 8, sizeof size);
  if (size > file.size() - 12) fail(where, "the Parquet footer should be {} bytes, the file is shorter", size);
  ThriftReader reader(file.substr(file.size() - 8 - size, size), where);
  ParquetFooter footer;
  std::vector<Element> elements;
  reader.fields([&](int64_t id, Type type) {
    if (id == 2 && type == ThriftReader::list) {
      reader.items([&](Type) { elements.push_back(read_element(reader, where)); });
    } else if (id == 3) {
      footer.rows = reader.number();
    } else if (id == 4 && type == ThriftReader::list) {
      reader.items([&](Type) { footer.groups.push_back(read_group(reader)); });
    } else if (id == 5 && type == ThriftReader::list) {
      reader.items([&](Type) { footer.metadata.push_back(read_pair(reader)); });
    } else {
      reader.skip(type);
    }
  });
  size_t next = 0, leaves = 0;
  footer.root = build(elements, next, 0, 0, leaves, 0, where);
  for (const auto& group : footer.groups) {
    if (group.chunks.size() != leaves) {
      fail(where, "a row group has {} columns, the schema has {}", group.chunks.size(), leaves);
    }
  }
  return footer;
}

ParquetPage parquet_page(std::string_view& bytes, std::string_view where) {
  ThriftReader reader(bytes, where);
  ParquetPage page;
  reader.fields([&](int64_t id, Type type) {
    if (id == 1) {
      const int64_t kind = reader.number();
      if (kind < 0 || kind > 3) fail(where, "a Parquet page has the unknown kind {}", kind);
      page.kind = static_cast<ParquetPage::Kind>(kind);
    } else if (id == 2) {
      page.uncompressed = reader.number();
    } else if (id == 3) {
      page.compressed = reader.number();
    } else if ((id == 5 || id == 7 || id == 8) && type == ThriftReader::structure) {
      reader.fields([&](int64_t inner, Type inner_type) {
        const bool v2 = id == 8;
        if (inner == 1) {
          page.values = reader.number();
        } else if (inner == (v2 ? 4 : 2)) {
          page.encoding = static_cast<int>(reader.number());
        } else if (id == 5 && inner == 3) {
          page.definition_encoding = static_cast<int>(reader.number());
        } else if (id == 5 && inner == 4) {
          page.repetition_encoding = static_cast<int>(reader.number());
        } else if (v2 && inner == 5) {
          page.definition_bytes = reader.number();
        } else if (v2 && inner == 6) {
          page.repetition_bytes = reader.number();
        } else {
          if (v2 && inner == 7) page.is_compressed = inner_type == ThriftReader::yes;
          reader.skip(inner_type);
        }
      });
    } else {
      reader.skip(type);
    }
  });
  bytes.remove_prefix(reader.position());
  return page;
}

std::string encode_parquet_footer(const ParquetFooter& footer) {
  ThriftWriter writer;
  writer.begin();
  writer.number(1, 2);
  writer.list(2, count_nodes(footer.root), ThriftReader::structure);
  encode_node(writer, footer.root, true);
  writer.number(3, footer.rows, ThriftReader::i64);
  writer.list(4, footer.groups.size(), ThriftReader::structure);
  for (const auto& group : footer.groups) {
    int64_t bytes = 0;
    for (const auto& chunk : group.chunks) bytes += chunk.uncompressed_bytes;
    writer.begin();
    writer.list(1, group.chunks.size(), ThriftReader::structure);
    for (const auto& chunk : group.chunks) encode_chunk(writer, chunk);
    writer.number(2, bytes, ThriftReader::i64);
    writer.number(3, group.rows, ThriftReader::i64);
    writer.end();
  }
  if (!footer.metadata.empty()) {
    writer.list(5, footer.metadata.size(), ThriftReader::structure);
    for (const auto& [key, value] : footer.metadata) {
      writer.begin();
      writer.text(1, key);
      writer.text(2, value);
      writer.end();
    }
  }
  writer.text(6, "fettle");
  writer.end();
  return writer.take();
}

std::string encode_parquet_page(const ParquetPage& page) {
  ThriftWriter writer;
  writer.begin();
  writer.number(1, page.kind);
  writer.number(2, page.uncompressed);
  writer.number(3, page.compressed);
  writer.field(5, ThriftReader::structure);
  writer.begin();
  writer.number(1, page.values);
  writer.number(2, page.encoding);
  writer.number(3, page.definition_encoding);
  writer.number(4, page.repetition_encoding);
  writer.end();
  writer.end();
  return writer.take();
}

}  // namespace fettle::data
