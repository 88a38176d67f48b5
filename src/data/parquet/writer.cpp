#include "data/parquet/writer.h"

#include <bit>

#include "data/parquet/codec.h"
#include "data/parquet/values.h"

namespace fettle::data {
namespace {

constexpr size_t page_bytes = size_t{1} << 20, group_bytes = size_t{64} << 20;

/// Values and levels of one leaf that are not yet in the file.
struct Leaf {
  ParquetNode node;
  int definition = 0, repetition = 0;  ///< its largest levels
  std::string path, values;
  std::vector<uint8_t> definitions, repetitions;
  int booleans = 0;  ///< bits of the last byte in use
  std::string pages;
  int64_t total = 0, uncompressed = 0;

  size_t waiting() const { return values.size() + definitions.size(); }
};

ParquetNode node_of(const ColumnType& column) {
  ParquetNode node;
  node.name = column.name;
  node.repetition = ParquetNode::optional;
  switch (column.kind) {
    case ColumnType::boolean:
      node.type = ParquetType::boolean;
      break;
    case ColumnType::int32:
      node.type = ParquetType::int32;
      break;
    case ColumnType::int64:
      node.type = ParquetType::int64;
      break;
    case ColumnType::float32:
      node.type = ParquetType::float32;
      break;
    case ColumnType::float64:
      node.type = ParquetType::float64;
      break;
    case ColumnType::text:
      node.type = ParquetType::bytes;
      node.is_text = true;
      break;
    case ColumnType::list: {
      node.meaning = ParquetMeaning::list;
      ParquetNode repeated;
      repeated.name = "list";
      repeated.repetition = ParquetNode::repeated;
      repeated.children.push_back(node_of(column.children.at(0)));
      repeated.children.front().name = "element";
      node.children.push_back(std::move(repeated));
      break;
    }
    case ColumnType::structure:
      for (const auto& field : column.children) node.children.push_back(node_of(field));
      break;
  }
  return node;
}

void collect_leaves(const ParquetNode& node, int definition, int repetition, const std::string& path, std::vector<Leaf>& leaves) {
  definition += node.repetition != ParquetNode::required;
  repetition += node.repetition == ParquetNode::repeated;
  const std::string own = path.empty() ? node.name : path + '\0' + node.name;
  if (node.children.empty()) {
    Leaf leaf;
    leaf.node = node;
    leaf.definition = definition;
    leaf.repetition = repetition;
    leaf.path = own;
    leaves.push_back(std::move(leaf));
  }
  for (const auto& child : node.children) collect_leaves(child, definition, repetition, own, leaves);
}

template <typename T>
void append(std::string& to, T value) {
  to.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void append_levels(const std::vector<uint8_t>& levels, int largest, std::string& page) {
  if (largest == 0) return;
  const std::string runs = encode_runs(levels, std::bit_width(static_cast<unsigned>(largest)));
  append(page, static_cast<uint32_t>(runs.size()));
  page += runs;
}

}  // namespace

struct ParquetWriter::Impl {
  AtomicFile file;
  std::vector<ColumnType> columns;
  std::vector<Leaf> leaves;
  ParquetFooter footer;
  int64_t rows_in_group = 0;

  explicit Impl(const fs::path& path) : file(path) {}

  Leaf& entry(size_t leaf, int repetition, int definition) {
    Leaf& l = leaves[leaf];
    l.repetitions.push_back(static_cast<uint8_t>(repetition));
    l.definitions.push_back(static_cast<uint8_t>(definition));
    return l;
  }

  void close_page(Leaf& leaf) {
    if (leaf.definitions.empty()) return;
    std::string page;
    append_levels(leaf.repetitions, leaf.repetition, page);
    append_levels(leaf.definitions, leaf.definition, page);
    page += leaf.values;
    const std::string packed = parquet_compress(page);
    ParquetPage header;
    header.uncompressed = static_cast<int64_t>(page.size());
    header.compressed = static_cast<int64_t>(packed.size());
    header.values = static_cast<int64_t>(leaf.definitions.size());
    const std::string head = encode_parquet_page(header);
    leaf.pages += head + packed;
    leaf.uncompressed += static_cast<int64_t>(head.size() + page.size());
    leaf.total += header.values;
    leaf.values.clear();
    leaf.definitions.clear();
    leaf.repetitions.clear();
    leaf.booleans = 0;
  }

  void close_group() {
    if (rows_in_group == 0) return;
    ParquetGroup group;
    group.rows = rows_in_group;
    for (auto& leaf : leaves) {
      close_page(leaf);
      ParquetChunk chunk;
      chunk.codec = 6;
      chunk.values = leaf.total;
      chunk.bytes = static_cast<int64_t>(leaf.pages.size());
      chunk.uncompressed_bytes = leaf.uncompressed;
      chunk.data_at = static_cast<int64_t>(file.size());
      chunk.path = leaf.path;
      chunk.type = static_cast<int>(leaf.node.type);
      file.write(leaf.pages);
      group.chunks.push_back(std::move(chunk));
      leaf.pages.clear();
      leaf.total = leaf.uncompressed = 0;
    }
    footer.groups.push_back(std::move(group));
    footer.rows += rows_in_group;
    rows_in_group = 0;
  }
};

ParquetWriter::ParquetWriter(const fs::path& path, std::vector<ColumnType> columns,
                             std::vector<std::pair<std::string, std::string>> metadata)
    : impl_(std::make_unique<Impl>(path)) {
  impl_->footer.root.name = "schema";
  impl_->footer.metadata = std::move(metadata);
  for (const auto& column : columns) {
    impl_->footer.root.children.push_back(node_of(column));
    collect_leaves(impl_->footer.root.children.back(), 0, 0, "", impl_->leaves);
  }
  impl_->columns = std::move(columns);
  impl_->file.write("PAR1");
}

ParquetWriter::~ParquetWriter() = default;

const std::vector<ColumnType>& ParquetWriter::columns() const {
  return impl_->columns;
}

void ParquetWriter::put_null(size_t leaf, int repetition, int definition) {
  impl_->entry(leaf, repetition, definition);
}

void ParquetWriter::put_integer(size_t leaf, int repetition, int64_t value) {
  Leaf& l = impl_->entry(leaf, repetition, impl_->leaves[leaf].definition);
  if (l.node.type == ParquetType::boolean) {
    if (l.booleans == 0) l.values += '\0';
    if (value != 0) l.values.back() = static_cast<char>(l.values.back() | (1 << l.booleans));
    l.booleans = (l.booleans + 1) % 8;
  } else if (l.node.type == ParquetType::int32) {
    append(l.values, static_cast<int32_t>(value));
  } else {
    append(l.values, value);
  }
}

void ParquetWriter::put_real(size_t leaf, int repetition, double value) {
  Leaf& l = impl_->entry(leaf, repetition, impl_->leaves[leaf].definition);
  l.node.type == ParquetType::float32 ? append(l.values, static_cast<float>(value)) : append(l.values, value);
}

void ParquetWriter::put_text(size_t leaf, int repetition, std::string_view value) {
  Leaf& l = impl_->entry(leaf, repetition, impl_->leaves[leaf].definition);
  append(l.values, static_cast<uint32_t>(value.size()));
  l.values += value;
}

void ParquetWriter::end_row() {
  ++impl_->rows_in_group;
  size_t held = 0;
  for (auto& leaf : impl_->leaves) {
    if (leaf.waiting() >= page_bytes) impl_->close_page(leaf);
    held += leaf.pages.size();
  }
  if (held >= group_bytes) impl_->close_group();
}

void ParquetWriter::commit() {
  impl_->close_group();
  const std::string footer = encode_parquet_footer(impl_->footer);
  impl_->file.write(footer);
  const auto size = static_cast<uint32_t>(footer.size());
  impl_->file.write(&size, sizeof size);
  impl_->file.write("PAR1");
  impl_->file.commit();
}

}  // namespace fettle::data
