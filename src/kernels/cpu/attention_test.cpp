#include <cstring>

#include "base/threads.h"
#include "kernels/cpu/attention.h"
#include "kernels/test_support.h"

namespace fettle {
namespace {

using testing::cpu;
using testing::expect_near;
using testing::HostPlan;
using testing::Owned;
using testing::reference;
using testing::Source;

/// A packed batch: spans, ranges and positions with their memory.
struct Pack {
  std::vector<Span> spans;
  std::vector<KeyRange> ranges;
  std::vector<int32_t> query_positions, key_positions;
  int32_t queries = 0;

  /// A sequence whose tokens follow those of `before` (indices of spans).
  void add(int32_t length, const std::vector<int32_t>& before = {}) {
    Span span{queries, queries + length, queries, static_cast<int32_t>(ranges.size()), 0};
    int32_t position = 0;
    for (const int32_t s : before) {
      const Span& earlier = spans[static_cast<size_t>(s)];
      ranges.push_back({earlier.q_begin, earlier.q_end});
      position = key_positions[static_cast<size_t>(earlier.q_end - 1)] + 1;
    }
    span.range_end = static_cast<int32_t>(ranges.size());
    spans.push_back(span);
    for (int32_t i = 0; i < length; ++i) {
      query_positions.push_back(position + i);
      key_positions.push_back(position + i);
    }
    queries += length;
  }
  HostPlan plan(Backend& backend, const Attention& o) const {
    return {backend, spans, ranges, query_positions.data(), key_positions.data(), o.kv_heads};
  }
};

void compare(const Pack& pack, const Attention& o, DType kv = DType::f32, double tolerance = 4e-6) {
  Source source(static_cast<uint64_t>(pack.queries + o.head_dim));
  const int64_t t = pack.queries, width = o.heads * o.head_dim, kv_width = o.kv_heads * o.head_dim;
  const Owned q = source.floats(t, width, 1, 3), k = source.of(kv, t, kv_width, 1, 5),
              v = source.of(kv, t, kv_width, 1, 1);
  Owned out(DType::f32, t, width, 2), expected(DType::f32, t, width), lse(DType::f32, t, o.heads),
      lse_expected = lse;
  cpu().attention(out, lse, q, k, v, pack.plan(cpu(), o), o);
  reference().attention(expected, lse_expected, q, k, v, pack.plan(reference(), o), o);
  expect_near(out, expected, tolerance, 1e-5, "out");
  expect_near(lse, lse_expected, 4e-6, 1e-5, "lse");
  if (kv != DType::f32) return;

  const Owned dout = source.floats(t, width, 1, 7), dk = source.floats(t, kv_width),
              dv = source.floats(t, kv_width, 1, 2);
  Owned dq_a(DType::f32, t, width, 1), dq_e(DType::f32, t, width), delta(DType::f32, t, o.heads),
      dk_a = dk, dk_e = dk, dv_a = dv, dv_e = dv;
  cpu().attention_backward(dq_a, dk_a, dv_a, delta, dout, expected, lse_expected, q, k, v, pack.plan(cpu(), o), o);
  reference().attention_backward(dq_e, dk_e, dv_e, delta, dout, expected, lse_expected, q, k, v, pack.plan(reference(), o), o);
  expect_near(dq_a, dq_e, 2e-5, 2e-5, "dq");
  expect_near(dk_a, dk_e, 2e-5, 2e-5, "dk");
  expect_near(dv_a, dv_e, 2e-5, 2e-5, "dv");
}

Attention shape(int32_t heads, int32_t kv_heads, int32_t dim) {
  return {heads, kv_heads, dim, 1.0F / std::sqrt(static_cast<float>(dim))};
}

TEST(Attention, SequencesOfAwkwardLengths) {
  for (const int32_t length : {1, 2, 7, 8, 9, 31, 32, 63, 64, 65, 97, 130}) {
    Pack pack;
    pack.add(length);
    compare(pack, shape(2, 1, 16));
    compare(pack, shape(3, 3, 20));
  }
}

TEST(Attention, HeadSizes) {
  Pack pack;
  pack.add(40);
  pack.add(5);
  for (const int32_t dim : {1, 4, 15, 16, 17, 33, 64, 80, 128}) compare(pack, shape(4, 2, dim));
}

TEST(Attention, SharedPromptsAndChains) {
  Pack pack;
  pack.add(70);
  pack.add(30, {0});
  pack.add(101, {0});
  pack.add(12);
  pack.add(9, {0, 2});
  pack.add(1, {3});
  compare(pack, shape(6, 2, 16));
  compare(pack, shape(2, 2, 24));
}

TEST(Attention, BidirectionalSpansSeeWhatStandsBehindThem) {
  for (const int32_t length : {1, 5, 8, 64, 97, 200}) {
    Pack pack;
    pack.add(length);
    pack.add(30);
    pack.add(41, {0});
    pack.spans[0].bidirectional = pack.spans[2].bidirectional = 1;
    for (const int32_t window : {0, 1, 7, 64}) {
      Attention o = shape(4, 2, 16);
      o.window = window;
      compare(pack, o);
      compare(pack, shape(2, 1, 20), DType::f16, 2e-3);
    }
  }
}

TEST(Attention, WindowAndAlibi) {
  Pack pack;
  pack.add(90);
  pack.add(75, {0});
  pack.add(20);
  Attention o = shape(4, 2, 16);
  for (const int32_t window : {1, 5, 64, 100}) {
    o.window = window;
    compare(pack, o);
  }
  float slopes[4] = {0.5F, 0.25F, 0.125F, 0.0625F};
  o.alibi_slopes = Tensor(slopes, DType::f32, 1, 4);
  compare(pack, o);
  o.window = 0;
  compare(pack, o);
}

TEST(Attention, HalfPrecisionKeys) {
  Pack pack;
  pack.add(70);
  pack.add(3, {0});
  for (const DType type : {DType::f16, DType::bf16}) {
    compare(pack, shape(4, 1, 20), type);
    compare(pack, shape(9, 3, 64), type);
  }
}

TEST(Attention, OneQueryAgainstACache) {
  // Generation: one new token per sequence, keys in pages of a larger buffer.
  Source source(3);
  const Attention o = shape(9, 3, 64);
  const std::vector<KeyRange> ranges{{10, 40}, {100, 229}, {40, 41}};
  const std::vector<Span> spans{{0, 1, 300, 0, 2}, {1, 2, 5, 2, 3}, {2, 3, 7, 3, 3}};
  std::vector<int32_t> positions(400, 0);
  const HostPlan plan(cpu(), spans, ranges, positions.data(), positions.data(), o.kv_heads);
  for (const DType type : {DType::f32, DType::f16, DType::bf16}) {
    const Owned q = source.floats(3, 576), k = source.of(type, 400, 192), v = source.of(type, 400, 192);
    Owned a(DType::f32, 3, 576), e(DType::f32, 3, 576);
    cpu().attention(a, Tensor(), q, k, v, plan, o);
    reference().attention(e, Tensor(), q, k, v, plan, o);
    expect_near(a, e, 4e-6, 1e-5);
  }
}

TEST(Attention, LargeScoresDoNotOverflow) {
  Pack pack;
  pack.add(100);
  Source source(4);
  const Attention o = shape(1, 1, 16);
  const Owned q = source.floats(100, 16, 30), k = source.floats(100, 16, 30), v = source.floats(100, 16);
  Owned a(DType::f32, 100, 16), e = a, lse(DType::f32, 100, 1);
  cpu().attention(a, lse, q, k, v, pack.plan(cpu(), o), o);
  reference().attention(e, lse, q, k, v, pack.plan(reference(), o), o);
  expect_near(a, e, 1e-3, 1e-3);
}

TEST(Attention, SameBitsWhateverTheThreadsAndTheNeighbours) {
  Pack alone, packed;
  alone.add(150);
  packed.add(33);
  packed.add(150);
  Source source(5);
  const Attention o = shape(4, 2, 32);
  const Owned q = source.floats(183, 128), k = source.floats(183, 64), v = source.floats(183, 64),
              dout = source.floats(183, 128);
  const auto run = [&](const Pack& pack, int64_t first) {
    const auto rows = [&](const Owned& x) { return x->row_slice(first, first + pack.queries); };
    Owned out(DType::f32, pack.queries, 128), lse(DType::f32, pack.queries, 4), delta = lse, dq = out;
    Owned dk(DType::f32, pack.queries, 64), dv = dk;
    cpu().attention(out, lse, rows(q), rows(k), rows(v), pack.plan(cpu(), o), o);
    cpu().attention_backward(dq, dk, dv, delta, rows(dout), out, lse, rows(q), rows(k), rows(v), pack.plan(cpu(), o), o);
    std::vector<float> all;
    for (const Owned* x : {&out, &dq, &dk, &dv}) {
      const auto tail = (*x)->row_slice(pack.queries - 150, pack.queries).flat<float>();
      all.insert(all.end(), tail.begin(), tail.end());
    }
    return all;
  };
  const auto first = run(packed, 0), second = run(alone, 33);
  EXPECT_EQ(first, second);
  const int before = threads();
  set_threads(1);
  const auto third = run(packed, 0);
  set_threads(before);
  EXPECT_EQ(first, third);
}

TEST(Attention, SameBitsWhetherARunComesInOneCallOrInSeveral) {
  constexpr int32_t length = 150, width = 6 * 24, kv_width = 2 * 24;
  Source source(6);
  for (const DType kv : {DType::f32, DType::bf16}) {
    Attention o = shape(6, 2, 24);
    const Owned q = source.floats(length, width), k = source.of(kv, length, kv_width),
                v = source.of(kv, length, kv_width);
    for (const int32_t window : {0, 40}) {
      o.window = window;
      Pack whole;
      whole.add(length);
      Owned expected(DType::f32, length, width), out = expected;
      cpu().attention(expected, Tensor(), q, k, v, whole.plan(cpu(), o), o);
      int32_t begin = 0;
      for (const int32_t piece : {1, 2, 9, 40, 1, 3, 94}) {
        const std::vector<Span> spans{{0, piece, begin, 0, 0, begin}};
        const HostPlan plan(cpu(), spans, {}, whole.query_positions.data() + begin, whole.key_positions.data(), 2);
        cpu().attention(out->row_slice(begin, begin + piece), Tensor(), q->row_slice(begin, begin + piece), k, v,
                        plan, o);
        begin += piece;
      }
      ASSERT_EQ(begin, length);
      for (int64_t i = 0; i < length; ++i) {
        EXPECT_EQ(0, std::memcmp(out->row<float>(i), expected->row<float>(i), width * 4)) << i << " window " << window;
      }
    }
  }
}

TEST(Attention, SpansThatShareKeysAreOneTask) {
  Pack pack;
  pack.add(10);
  pack.add(5, {0});
  pack.add(7);
  pack.add(3, {2});
  pack.add(4, {0, 1});
  const HostPlan plan = pack.plan(cpu(), shape(1, 1, 4));
  const cpu::SpanTable table = cpu::table_of(plan, {});
  ASSERT_EQ(table.groups(), 2);
  std::vector<std::vector<int32_t>> groups;
  for (size_t g = 0; g < 2; ++g)
    groups.emplace_back(table.group_spans.begin() + table.group_begin[g], table.group_spans.begin() + table.group_begin[g + 1]);
  const std::vector<int32_t> a{0, 1, 4}, b{2, 3};
  EXPECT_TRUE((groups[0] == a && groups[1] == b) || (groups[0] == b && groups[1] == a));
}

}  // namespace
}  // namespace fettle
