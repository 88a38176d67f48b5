#include "kernels/cpu/product.h"

#include <dnnl.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <list>
#include <map>

#include "base/scarce.h"
#include "kernels/cpu/cpu_backend.h"

namespace fettle::cpu {
namespace {

using dnnl::memory;

/// More than oneDNN takes for the code of one product. It writes that into memory without looking whether it got any.
constexpr size_t code_room = size_t{32} << 20;

/// All that oneDNN's code depends on; alpha and beta as bits.
using Key = std::array<int64_t, 8>;

struct Made {
  dnnl::matmul primitive;
  memory::desc a, b, c, scratchpad;
};

memory::desc describe(int64_t rows, int64_t cols, const Operand& x) {
  return {{rows, cols},
          x.bf16 ? memory::data_type::bf16 : memory::data_type::f32,
          x.transposed ? memory::dims{1, x.stride} : memory::dims{x.stride, 1}};
}

}  // namespace

struct ProductEngine::Impl {
  static constexpr size_t capacity = 1024;
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::list<std::pair<Key, Made>> recent;  ///< most recently used first
  std::map<Key, std::list<std::pair<Key, Made>>::iterator> index;

  Made make(int64_t c_stride, int64_t m, int64_t n, int64_t k, const Operand& a, const Operand& b,
            float alpha, float beta) {
    Made made;
    made.a = describe(m, k, a);
    made.b = describe(k, n, b);
    made.c = {{m, n}, memory::data_type::f32, memory::dims{c_stride, 1}};
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (alpha != 1.0F) attributes.set_output_scales(0, {alpha});
    if (beta != 0.0F) {
      dnnl::post_ops add;
      add.append_sum(beta);
      attributes.set_post_ops(add);
    }
    const dnnl::matmul::primitive_desc description({made.a, made.b, made.c}, attributes, engine);
    made.scratchpad = description.scratchpad_desc();
    made.primitive = dnnl::matmul(description);
    return made;
  }

  const Made& get(const Key& key, const auto& make_it) {
    if (const auto found = index.find(key); found != index.end()) {
      recent.splice(recent.begin(), recent, found->second);
      return recent.front().second;
    }
    if (recent.size() >= capacity) {
      index.erase(recent.back().first);
      recent.pop_back();
    }
    recent.emplace_front(key, make_it());
    index[key] = recent.begin();
    return recent.front().second;
  }
};

ProductEngine::ProductEngine(bool has_bf16) : impl_(std::make_unique<Impl>()), has_bf16_(has_bf16) {}
ProductEngine::~ProductEngine() = default;

void ProductEngine::run(float* c, int64_t c_stride, int64_t m, int64_t n, int64_t k, const Operand& a,
                        const Operand& b, float alpha, float beta, Workspace& workspace) {
  const int64_t flags = (a.transposed ? 1 : 0) | (b.transposed ? 2 : 0) | (a.bf16 ? 4 : 0);
  const int64_t factors = int64_t{std::bit_cast<int32_t>(alpha)} << 32 | std::bit_cast<uint32_t>(beta);
  const Key key{m, n, k, a.stride, b.stride, c_stride, flags, factors};
  start_team();
  const Made& made = impl_->get(key, [&] {
    require_memory(code_room);
    return impl_->make(c_stride, m, n, k, a, b, alpha, beta);
  });
  const auto bytes = static_cast<int64_t>(made.scratchpad.get_size());
  void* scratchpad = workspace.get<std::byte>(Workspace::scratchpad, std::max<int64_t>(bytes, 64));
  const auto at = [&](const memory::desc& desc, const void* data) {
    return memory(desc, impl_->engine, const_cast<void*>(data));
  };
  made.primitive.execute(impl_->stream, {{DNNL_ARG_SRC, at(made.a, a.data)},
                                         {DNNL_ARG_WEIGHTS, at(made.b, b.data)},
                                         {DNNL_ARG_DST, at(made.c, c)},
                                         {DNNL_ARG_SCRATCHPAD, at(made.scratchpad, scratchpad)}});
  impl_->stream.wait();
}

}  // namespace fettle::cpu
