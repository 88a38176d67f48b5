#include "model/decoder.h"

namespace fettle {

KvCache KvCache::make(const ModelConfig& config, int64_t rows, DType dtype, Backend& backend) {
  KvCache cache;
  cache.group.assign(static_cast<size_t>(config.layers), 0);
  cache.take(config, {&rows, 1}, dtype, bytes_per_row(config, dtype) * rows, backend);
  return cache;
}

KvCache KvCache::make(const ModelConfig& config, std::span<const int64_t> rows, DType dtype, Backend& backend) {
  FETTLE_CHECK(rows.size() == config.cache_windows().size());
  KvCache cache;
  int64_t bytes = 0;
  for (int32_t layer = 0; layer < config.layers; ++layer) cache.group.push_back(config.cache_group(layer));
  for (size_t group = 0; group < rows.size(); ++group)
    bytes += rows[group] * bytes_per_row(config, dtype, static_cast<int32_t>(group));
  cache.take(config, rows, dtype, bytes, backend);
  return cache;
}

void KvCache::take(const ModelConfig& config, std::span<const int64_t> rows, DType dtype, int64_t bytes,
                   Backend& backend) {
  buffer = Buffer(bytes, backend.memory());
  auto* cursor = static_cast<std::byte*>(buffer.data());
  for (int32_t layer = 0; layer < config.layers; ++layer) {
    const int64_t count = rows[static_cast<size_t>(group[static_cast<size_t>(layer)])];
    const int64_t columns = config.layer(layer).kv_size(), size = row_bytes(dtype, count * columns);
    k.emplace_back(cursor, dtype, count, columns);
    v.emplace_back(cursor + size, dtype, count, columns);
    cursor += 2 * size;
  }
  int64_t all = 0;
  for (const int64_t count : rows) all += count;
  position_buffer = Buffer(row_bytes(DType::i32, all), backend.memory());
  auto* place = static_cast<int32_t*>(position_buffer.data());
  for (const int64_t count : rows) {
    positions.emplace_back(place, DType::i32, count, 1);
    place += count;
  }
}

int64_t KvCache::bytes_per_row(const ModelConfig& config, DType dtype) {
  int64_t bytes = 0;
  for (int32_t layer = 0; layer < config.layers; ++layer)
    bytes += 2 * row_bytes(dtype, config.layer(layer).kv_size());
  return bytes;
}

int64_t KvCache::bytes_per_row(const ModelConfig& config, DType dtype, int32_t group) {
  int64_t bytes = 0;
  for (int32_t layer = 0; layer < config.layers; ++layer)
    if (config.cache_group(layer) == group) bytes += 2 * row_bytes(dtype, config.layer(layer).kv_size());
  return bytes;
}

}  // namespace fettle
