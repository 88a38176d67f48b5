#include "model/device.h"

#include "base/mapped_file.h"

namespace fettle {
namespace {

/// Whole, or row by row where rows have gaps between them.
void send(Backend& backend, const Tensor& to, const Tensor& from) {
  if (from.contiguous()) return backend.copy_from_host(to, from.data);
  for (int64_t row = 0; row < from.rows; ++row)
    backend.copy_from_host(to.row_slice(row, row + 1), from.row_slice(row, row + 1).data);
}

void fetch(Backend& backend, void* to, const Tensor& from) {
  if (from.contiguous()) return backend.copy_to_host(to, from);
  const int64_t bytes = row_bytes(from.dtype, from.cols);
  for (int64_t row = 0; row < from.rows; ++row)
    backend.copy_to_host(static_cast<std::byte*>(to) + row * bytes, from.row_slice(row, row + 1));
}

int64_t bytes_of(const Tensor& tensor) {
  return row_bytes(tensor.dtype, tensor.cols) * tensor.rows;
}

}  // namespace

void move_to(Parameters& parameters, Backend& backend) {
  if (backend.memory().is_host() || parameters.memory() == &backend.memory()) return;
  FETTLE_CHECK(parameters.memory() == nullptr);
  std::vector<std::shared_ptr<void>> owners;
  for (const auto& parameter : parameters.all()) {
    const Tensor from = parameter->value;
    const auto buffer = std::make_shared<Buffer>(bytes_of(from), backend.memory());
    const Tensor to(buffer->data(), from.dtype, from.rows, from.cols);
    send(backend, to, from);
    backend.synchronize();
    check_mapped(from.data);
    parameter->value = to;
    owners.push_back(buffer);
  }
  parameters.moved(backend.memory(), std::move(owners));
}

Parameters on_host(const Parameters& parameters, Backend& backend) {
  const bool there = backend.memory().is_host();
  Parameters result;
  for (const auto& parameter : parameters.all()) {
    const Tensor& from = parameter->value;
    Tensor to = from;
    if (!there) {
      const auto buffer = std::make_shared<Buffer>(bytes_of(from));
      to = Tensor(buffer->data(), from.dtype, from.rows, from.cols);
      fetch(backend, to.data, from);
      result.keep_alive(buffer);
    }
    result.add(parameter->name, to).trainable = parameter->trainable;
  }
  return result;
}

Adapter on_host(const Adapter& adapter, Backend& backend) {
  Adapter result;
  result.config = adapter.config;
  result.parameters = on_host(adapter.parameters, backend);
  result.alphas = adapter.alphas;
  result.token_ids = adapter.token_ids;
  result.ties_head = adapter.ties_head;
  return result;
}

}  // namespace fettle
