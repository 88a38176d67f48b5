// Attention by tiles: scores of a tile of rows against a tile of keys, an online softmax over the tiles (Dao
// et al., "FlashAttention", 2022), backward from the kept log-sum-exp. Scratch holds tiles alone, never [T,
// keys].
#include "kernels/cpu/attention.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/threads.h"
#include "kernels/cpu/cpu_backend.h"
#include "kernels/cpu/targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/cpu/attention.cpp"
#include "hwy/foreach_target.h"  // IWYU pragma: keep
#include "kernels/cpu/convert-inl.h"
#include "kernels/cpu/tile_product-inl.h"

HWY_BEFORE_NAMESPACE();
namespace fettle::cpu::HWY_NAMESPACE {

constexpr float minus_infinity = -std::numeric_limits<float>::infinity();

/// Columns [col, col + n) of a row of keys or values, of any of their types.
HWY_INLINE Vec load_row_part(const Tensor& x, int64_t row, int64_t col, int64_t n) {
  const int64_t at = row * x.stride + col;
  if (x.dtype == DType::f32) return load(static_cast<const float*>(x.data) + at, n);
  const auto* half = static_cast<const uint16_t*>(x.data) + at;
  return x.dtype == DType::bf16 ? load_bf16(half, n) : load_f16(half, n);
}

/// Rows of one head, multiplied by `factor`, into rows of `padded(dim)` floats.
HWY_INLINE void copy_head(const Tensor& x, int64_t row, int64_t rows, int64_t col, int64_t dim, float factor,
                          float* to) {
  const int64_t width = padded(dim);
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t d = 0; d < width; d += lanes()) {
      const Vec v = d < dim ? load_row_part(x, row + i, col + d, dim - d) : zero();
      hn::StoreU(hn::Mul(v, set(factor)), df, to + i * width + d);
    }
  }
}

/// rows[count][width] to columns[dim][key_tile], zeros beyond `count`.
HWY_INLINE void transpose_tile(const float* rows, int64_t count, int64_t dim, float* columns) {
  const int64_t width = padded(dim);
  for (int64_t d = 0; d < dim; ++d) {
    float* to = columns + d * key_tile;
    for (int64_t j = 0; j < count; ++j) to[j] = rows[j * width + d];
    for (int64_t j = count; j < key_tile; ++j) to[j] = 0.0F;
  }
}

/// Keys [begin, begin + count) of a task, seen up to the own one when `causal`.
struct KeyTile {
  int64_t begin, count;
  bool causal;
  int64_t offset;  ///< of `begin` from k_begin; negative for own keys of earlier calls
  bool both_ways = false;  ///< a window ends behind the query as it does before it:
  int32_t ahead = std::numeric_limits<int32_t>::min();  ///< the least distance from a query back to a key that is seen
  /// How many keys of the tile query i of the span sees, leaving the window aside.
  int64_t seen_by(int64_t i) const { return causal ? std::clamp<int64_t>(i - offset + 1, 0, count) : count; }
};

/// Calls body(KeyTile) for the keys that queries below `query_end` of a span may see.
/// both_ways (the span is bidirectional) is known when this is compiled, so that causal loops stay as tight as they were.
template <bool both_ways, typename F>
HWY_INLINE void for_key_tiles(const AttentionInput& in, const Span& span, int64_t query_end, F body) {
  const SpanTable& table = in.table;
  for (int32_t r = span.range_begin; r < span.range_end; ++r) {
    const int64_t end = table.ranges[r].end;
    for (int64_t k = table.ranges[r].begin; k < end; k += key_tile)
      body(KeyTile{k, std::min(key_tile, end - k), false, 0});
  }
  const int32_t ahead = both_ways ? 1 - in.options.window : std::numeric_limits<int32_t>::min();
  const int64_t own_end = both_ways ? span.q_end - span.q_begin : query_end;
  for (int64_t k = -int64_t{span.own_before}; k < own_end; k += key_tile) {
    body(KeyTile{span.k_begin + k, std::min(key_tile, own_end - k), !both_ways, k, both_ways, ahead});
  }
}

/// Apart, so that the loops around it stay as tight as they are without a window.
HWY_NOINLINE bool windows_apart(const AttentionInput& in, const KeyTile& tile, int64_t begin, int64_t end) {
  const int32_t* query = in.table.query_positions;
  const int32_t* key = in.table.key_positions + tile.begin;
  const auto [first_query, last_query] = std::minmax_element(query + begin, query + end);
  const auto [first_key, last_key] = std::minmax_element(key, key + tile.count);
  return *first_query - *last_key >= in.options.window ||
         (tile.both_ways && *first_key - *last_query >= in.options.window);
}

/// Whether no query in [begin, end) sees any key of the tile through the window.
HWY_INLINE bool outside_window(const AttentionInput& in, const KeyTile& tile, int64_t begin, int64_t end) {
  return in.options.window != 0 && windows_apart(in, tile, begin, end);
}

/// Score of a row against keys [j, j + lanes): the product that stands there, ALiBi's share, minus infinity
/// where not seen.
HWY_INLINE Vec masked_score(const AttentionInput& in, const KeyTile& tile, Vec score, int64_t j, int64_t seen,
                            int64_t query, int64_t head) {
  const Attention& o = in.options;
  if (o.window > 0 || in.table.alibi_slopes != nullptr) {
    const auto position = load_part(di, in.table.key_positions + tile.begin + j, tile.count - j);
    const auto distance = hn::Sub(hn::Set(di, in.table.query_positions[query]), position);
    if (in.table.alibi_slopes != nullptr) {
      score = hn::NegMulAdd(set(in.table.alibi_slopes[head]), hn::ConvertTo(df, distance), score);
    }
    if (o.window > 0) {
      const auto far = hn::Or(hn::Gt(distance, hn::Set(di, o.window - 1)), hn::Lt(distance, hn::Set(di, tile.ahead)));
      score = hn::IfThenElse(hn::RebindMask(df, far), set(minus_infinity), score);
    }
  }
  if (j + lanes() <= seen) return score;
  return hn::IfThenElse(hn::FirstN(df, static_cast<size_t>(std::max<int64_t>(0, seen - j))), score,
                        set(minus_infinity));
}

// ---- forward

/// Rows of a task are (head of the group, query), head by head.
struct RowState {
  float highest, sum;
};

struct ForwardScratch {
  float *q, *out, *keys, *values, *scores;
  RowState* state;
  static int64_t floats(int64_t rows, int64_t dim) {
    const int64_t width = padded(dim);
    return 2 * rows * width + 2 * key_tile * width + query_tile * key_tile + 2 * rows + widest_vector;
  }
  ForwardScratch(float* p, int64_t rows, int64_t dim) {
    const int64_t width = padded(dim);
    const auto take = [&](int64_t n) {
      float* at = p;
      p += n;
      return at;
    };
    q = take(rows * width);
    out = take(rows * width);
    keys = take(key_tile * width);
    values = take(key_tile * width);
    scores = take(query_tile * key_tile);
    state = reinterpret_cast<RowState*>(take(2 * rows));
  }
};

/// Turns the first `n` scores of one row (whole vectors) into probabilities relative to its highest so far,
/// and scales what it has summed to match.
HWY_INLINE void online_softmax(const AttentionInput& in, const KeyTile& tile, float* scores, int64_t n,
                               int64_t seen, int64_t query, int64_t head, RowState& state, float* out,
                               int64_t width) {
  Vec top = set(state.highest);
  for (int64_t j = 0; j < n; j += lanes()) {
    const Vec s = j < seen ? masked_score(in, tile, hn::LoadU(df, scores + j), j, seen, query, head)
                           : set(minus_infinity);
    hn::StoreU(s, df, scores + j);
    top = hn::Max(top, s);
  }
  const float highest = max_of(top);
  if (highest == minus_infinity) {
    std::memset(scores, 0, static_cast<size_t>(n) * sizeof(float));
    return;
  }
  Vec sum = zero();
  for (int64_t j = 0; j < n; j += lanes()) {
    const Vec p = exp_of_negative(hn::Sub(hn::LoadU(df, scores + j), set(highest)));
    hn::StoreU(p, df, scores + j);
    sum = hn::Add(sum, p);
  }
  if (highest > state.highest) {
    const float factor = hn::GetLane(exp_of_negative(set(state.highest - highest)));
    state.sum *= factor;
    for (int64_t d = 0; d < width; d += lanes()) {
      hn::StoreU(hn::Mul(hn::LoadU(df, out + d), set(factor)), df, out + d);
    }
    state.highest = highest;
  }
  state.sum += sum_of(sum);
}

/// scores[r][j] = q[r] · key j for up to three rows and four keys at a time. key(j, d) gives lanes [d, d + lanes) of
/// key j, zeros beyond `dim`. A score is summed in one order whatever stands beside it.
template <int rows, int keys, typename Key>
HWY_INLINE void score_tile(const float* q, int64_t dim, Key key, int64_t j, float* scores) {
  const int64_t width = padded(dim);
  Vec acc[rows][keys];
  for (auto& row : acc) {
    for (Vec& v : row) v = zero();
  }
  for (int64_t d = 0; d < dim; d += lanes()) {
    Vec right[keys];
    for (int i = 0; i < keys; ++i) right[i] = key(j + i, d);
    for (int r = 0; r < rows; ++r) {
      const Vec left = hn::LoadU(df, q + r * width + d);
      for (int i = 0; i < keys; ++i) acc[r][i] = hn::MulAdd(left, right[i], acc[r][i]);
    }
  }
  for (int r = 0; r < rows; ++r) sums_of<keys>(acc[r], scores + r * key_tile + j);
}

template <typename Key>
HWY_INLINE void key_scores(const float* q, int64_t rows, int64_t dim, Key key, int64_t keys, float* scores) {
  const auto next = [&]<int count>() HWY_ATTR {
    int64_t j = 0;
    for (; j + 4 <= keys; j += 4) score_tile<count, 4>(q, dim, key, j, scores);
    for (; j < keys; ++j) score_tile<count, 1>(q, dim, key, j, scores);
    rows -= count;
    q += count * padded(dim);
    scores += count * key_tile;
  };
  while (rows >= 3) next.template operator()<3>();
  if (rows == 2) next.template operator()<2>();
  if (rows == 1) next.template operator()<1>();
}

HWY_INLINE void few_query_sums(const AttentionInput& in, const KeyTile& tile, const float* scores,
                               int64_t rows, int64_t col, float* out) {
  const int64_t dim = in.options.head_dim, width = padded(dim);
  for (int64_t d = 0; d < dim; d += lanes()) {
    for (int64_t j = 0; j < tile.count; ++j) {
      const Vec v = load_row_part(in.v, tile.begin + j, col + d, dim - d);
      for (int64_t r = 0; r < rows; ++r) {
        float* to = out + r * width + d;
        hn::StoreU(hn::MulAdd(set(scores[r * key_tile + j]), v, hn::LoadU(df, to)), df, to);
      }
    }
  }
}

/// One head's queries of a task against a tile that was copied.
HWY_INLINE void forward_tile(const AttentionInput& in, const ForwardTask& task, const KeyTile& tile,
                             int64_t h, const ForwardScratch& s) {
  const int64_t dim = in.options.head_dim, width = padded(dim), queries = task.end - task.begin;
  const int64_t first = in.table.spans[task.span].q_begin + task.begin, head = task.kv_head * in.group() + h;
  for (int64_t begin = 0; begin < queries; begin += query_tile) {
    const int64_t count = std::min(query_tile, queries - begin), row = h * queries + begin;
    const int64_t most = tile.seen_by(task.begin + begin + count - 1), n = padded(most);
    if (most == 0 || outside_window(in, tile, first + begin, first + begin + count)) continue;
    const auto key = [&](int64_t j, int64_t d) HWY_ATTR { return hn::LoadU(df, s.keys + j * width + d); };
    key_scores(s.q + row * width, count, dim, key, most, s.scores);
    for (int64_t i = 0; i < count; ++i) {
      online_softmax(in, tile, s.scores + i * key_tile, n, tile.seen_by(task.begin + begin + i),
                     first + begin + i, head, s.state[row + i], s.out + (row + i) * width, width);
    }
    tile_product(count, width, most, {s.scores, key_tile, 1}, {s.values, width},
                 {s.out + row * width, width, true});
  }
}

/// A few rows (the decoding of a token) against a tile, which is read where it lies.
HWY_INLINE void forward_few(const AttentionInput& in, const ForwardTask& task, const KeyTile& tile,
                            const ForwardScratch& s) {
  const int64_t width = padded(in.options.head_dim), queries = task.end - task.begin,
                rows = queries * in.group();
  const int64_t first = in.table.spans[task.span].q_begin + task.begin,
                kv_col = task.kv_head * in.options.head_dim;
  if (outside_window(in, tile, first, first + queries)) return;
  const auto key = [&](int64_t j, int64_t d) HWY_ATTR {
    return load_row_part(in.k, tile.begin + j, kv_col + d, in.options.head_dim - d);
  };
  key_scores(s.q, rows, in.options.head_dim, key, tile.count, s.scores);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t query = r % queries, head = task.kv_head * in.group() + r / queries;
    online_softmax(in, tile, s.scores + r * key_tile, key_tile, tile.seen_by(task.begin + query),
                   first + query, head, s.state[r], s.out + r * width, width);
  }
  few_query_sums(in, tile, s.scores, rows, kv_col, s.out);
}

template <bool both_ways>
HWY_INLINE void run_task(const AttentionInput& in, const ForwardTask& task, const Tensor& out, const Tensor& lse,
                         float* memory) {
  const Attention& o = in.options;
  const Span& span = in.table.spans[task.span];
  const int64_t queries = task.end - task.begin, rows = queries * in.group(),
                first = span.q_begin + task.begin;
  const int64_t dim = o.head_dim, width = padded(dim), kv_col = task.kv_head * dim,
                first_head = task.kv_head * in.group();
  constexpr int64_t few = 8;
  const ForwardScratch s(memory, rows, dim);
  for (int64_t h = 0; h < in.group(); ++h) {
    copy_head(in.q, first, queries, (first_head + h) * dim, dim, o.scale, s.q + h * queries * width);
  }
  std::fill_n(s.out, rows * width, 0.0F);
  std::fill_n(s.state, rows, RowState{minus_infinity, 0.0F});

  for_key_tiles<both_ways>(in, span, task.end, [&](const KeyTile& tile) HWY_ATTR {
    if (rows <= few) return forward_few(in, task, tile, s);
    copy_head(in.k, tile.begin, tile.count, kv_col, dim, 1.0F, s.keys);
    copy_head(in.v, tile.begin, tile.count, kv_col, dim, 1.0F, s.values);
    for (int64_t h = 0; h < in.group(); ++h) forward_tile(in, task, tile, h, s);
  });

  for (int64_t r = 0; r < rows; ++r) {
    const int64_t query = first + r % queries, head = first_head + r / queries;
    const Vec inverse = set(1.0F / s.state[r].sum);
    float* to = out.row<float>(query) + head * dim;
    for (int64_t d = 0; d < dim; d += lanes())
      store(hn::Mul(hn::LoadU(df, s.out + r * width + d), inverse), to + d, dim - d);
    if (!lse.absent()) lse.row<float>(query)[head] = s.state[r].highest + std::log(s.state[r].sum);
  }
}

void attention_task(const AttentionInput& in, const ForwardTask& task, const Tensor& out, const Tensor& lse,
                    float* memory) {
  if (in.table.spans[task.span].bidirectional != 0) return run_task<true>(in, task, out, lse, memory);
  run_task<false>(in, task, out, lse, memory);
}

// ---- backward

struct BackwardScratch {
  float *keys, *key_columns, *value_columns, *dk, *dv, *q, *dout, *dq, *scores, *dscores;
  static int64_t floats(int64_t dim) {
    return 5 * key_tile * padded(dim) + 3 * query_tile * padded(dim) + 2 * query_tile * key_tile;
  }
  BackwardScratch(float* p, int64_t dim) {
    const int64_t keys_size = key_tile * padded(dim), queries_size = query_tile * padded(dim);
    for (float** part : {&keys, &key_columns, &value_columns, &dk, &dv}) {
      *part = p;
      p += keys_size;
    }
    for (float** part : {&q, &dout, &dq}) {
      *part = p;
      p += queries_size;
    }
    scores = p;
    dscores = p + query_tile * key_tile;
  }
};

/// to[i, 0…dim) += factor * from[i], rows of a head in a tensor.
HWY_INLINE void add_head(const Tensor& to, int64_t row, int64_t rows, int64_t col, int64_t dim, float factor,
                         const float* from) {
  for (int64_t i = 0; i < rows; ++i) {
    float* at = to.row<float>(row + i) + col;
    for (int64_t d = 0; d < dim; d += lanes()) {
      const Vec v = hn::LoadU(df, from + i * padded(dim) + d);
      store(hn::MulAdd(set(factor), v, load(at + d, dim - d)), at + d, dim - d);
    }
  }
}

/// The first `n` scores become probabilities, dscores the gradient of the scores.
HWY_INLINE void score_gradient(const AttentionInput& in, const KeyTile& tile, int64_t n, int64_t seen,
                               int64_t query, int64_t head, float lse, float delta, float* scores,
                               float* dscores) {
  for (int64_t j = 0; j < n; j += lanes()) {
    if (j >= seen) {
      hn::StoreU(zero(), df, scores + j);
      hn::StoreU(zero(), df, dscores + j);
      continue;
    }
    const Vec s = masked_score(in, tile, hn::LoadU(df, scores + j), j, seen, query, head);
    const Vec p = exp_of_negative(hn::Sub(s, set(lse)));
    hn::StoreU(p, df, scores + j);
    hn::StoreU(hn::Mul(p, hn::Sub(hn::LoadU(df, dscores + j), set(delta))), df, dscores + j);
  }
}

/// Queries [begin, end) of a span against one tile of keys.
HWY_INLINE void backward_tile(const AttentionInput& in, const BackwardOutput& to, const BackwardScratch& s,
                              const Span& span, const KeyTile& tile, int64_t head, int64_t begin,
                              int64_t end) {
  const Attention& o = in.options;
  const int64_t dim = o.head_dim, width = padded(dim), queries = end - begin, first = span.q_begin + begin,
                col = head * dim;
  const int64_t most = tile.seen_by(end - 1), n = padded(most);
  copy_head(in.q, first, queries, col, dim, o.scale, s.q);
  copy_head(to.dout, first, queries, col, dim, 1.0F, s.dout);
  tile_product(queries, n, dim, {s.q, width, 1}, {s.key_columns, key_tile}, {s.scores, key_tile, false});
  tile_product(queries, n, dim, {s.dout, width, 1}, {s.value_columns, key_tile},
               {s.dscores, key_tile, false});
  for (int64_t i = 0; i < queries; ++i) {
    score_gradient(in, tile, n, tile.seen_by(begin + i), first + i, head, to.lse.row<float>(first + i)[head],
                   to.delta.row<float>(first + i)[head], s.scores + i * key_tile, s.dscores + i * key_tile);
  }
  tile_product(most, width, queries, {s.scores, 1, key_tile}, {s.dout, width}, {s.dv, width, true});
  tile_product(most, width, queries, {s.dscores, 1, key_tile}, {s.q, width}, {s.dk, width, true});
  tile_product(queries, width, most, {s.dscores, key_tile, 1}, {s.keys, width}, {s.dq, width, false});
  add_head(to.dq, first, queries, col, dim, o.scale, s.dq);
}

/// One head of one span.
template <bool both_ways>
HWY_INLINE void span_backward(const AttentionInput& in, const BackwardOutput& to, const BackwardScratch& s,
                              const Span& span, int64_t head) {
  const int64_t dim = in.options.head_dim, width = padded(dim), kv_col = head / in.group() * dim;
  const int64_t queries = span.q_end - span.q_begin;
  for (int64_t i = 0; i < queries; ++i) std::fill_n(to.dq.row<float>(span.q_begin + i) + head * dim, dim, 0.0F);
  for_key_tiles<both_ways>(in, span, queries, [&](const KeyTile& tile) HWY_ATTR {
    copy_head(in.k, tile.begin, tile.count, kv_col, dim, 1.0F, s.keys);
    transpose_tile(s.keys, tile.count, dim, s.key_columns);
    copy_head(in.v, tile.begin, tile.count, kv_col, dim, 1.0F, s.dv);
    transpose_tile(s.dv, tile.count, dim, s.value_columns);
    std::fill_n(s.dk, key_tile * width, 0.0F);
    std::fill_n(s.dv, key_tile * width, 0.0F);
    for (int64_t begin = tile.causal ? std::max<int64_t>(0, tile.offset) : 0; begin < queries; begin += query_tile) {
      const int64_t end = std::min(queries, begin + query_tile);
      if (outside_window(in, tile, span.q_begin + begin, span.q_begin + end)) continue;
      backward_tile(in, to, s, span, tile, head, begin, end);
    }
    add_head(to.dk, tile.begin, tile.count, to.key_col, dim, 1.0F, s.dk);
    add_head(to.dv, tile.begin, tile.count, to.key_col, dim, 1.0F, s.dv);
  });
}

/// One head of spans that share keys.
void attention_backward_task(const AttentionInput& in, std::span<const int32_t> spans, int64_t head,
                             const BackwardOutput& to, float* memory) {
  const BackwardScratch s(memory, in.options.head_dim);
  for (const int32_t index : spans) {
    const Span& span = in.table.spans[index];
    if (span.bidirectional != 0) {
      span_backward<true>(in, to, s, span, head);
    } else {
      span_backward<false>(in, to, s, span, head);
    }
  }
}

/// delta[t, h] = Σ_d dout out
void delta_rows(const Tensor& delta, const Tensor& dout, const Tensor& out, const Attention& o, int64_t begin,
                int64_t end) {
  for (int64_t t = begin; t < end; ++t) {
    for (int64_t h = 0; h < o.heads; ++h) {
      const float *a = dout.row<float>(t) + h * o.head_dim, *b = out.row<float>(t) + h * o.head_dim;
      Vec sum = zero();
      for (int64_t d = 0; d < o.head_dim; d += lanes()) {
        sum = hn::MulAdd(load(a + d, o.head_dim - d), load(b + d, o.head_dim - d), sum);
      }
      delta.row<float>(t)[h] = sum_of(sum);
    }
  }
}

/// to[row, g·D…] += the sum of the group's heads in `from` [keys, H·D], rows [begin, end).
void add_groups(const Tensor& to, const float* from, const Attention& o, int64_t begin, int64_t end) {
  const int64_t dim = o.head_dim, group = o.heads / o.kv_heads;
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t g = 0; g < o.kv_heads; ++g) {
      float* at = to.row<float>(row) + g * dim;
      const float* heads = from + (row * o.heads + g * group) * dim;
      for (int64_t d = 0; d < dim; d += lanes()) {
        Vec sum = zero();
        for (int64_t h = 0; h < group; ++h) sum = hn::Add(sum, load(heads + h * dim + d, dim - d));
        store(hn::Add(load(at + d, dim - d), sum), at + d, dim - d);
      }
    }
  }
}

int64_t forward_scratch(int64_t rows, int64_t dim) {
  return ForwardScratch::floats(rows, dim);
}
int64_t backward_scratch(int64_t dim) {
  return BackwardScratch::floats(dim);
}

}  // namespace fettle::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace fettle::cpu {
HWY_EXPORT(attention_task);
HWY_EXPORT(attention_backward_task);
HWY_EXPORT(delta_rows);
HWY_EXPORT(add_groups);
HWY_EXPORT(forward_scratch);
HWY_EXPORT(backward_scratch);

namespace {
void check(const AttentionInput& in) {
  const Attention& o = in.options;
  FETTLE_CHECK(o.heads > 0 && o.kv_heads > 0 && o.heads % o.kv_heads == 0 && o.head_dim > 0);
  FETTLE_CHECK(in.q.cols == o.heads * o.head_dim && in.k.cols == o.kv_heads * o.head_dim &&
               in.v.cols == in.k.cols);
  FETTLE_CHECK(in.k.rows == in.v.rows);
}
}  // namespace

void CpuBackend::attention(const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k,
                           const Tensor& v, const AttentionPlan& plan, const Attention& o) {
  const AttentionInput in{q, k, v, table_of(plan, o), o};
  check(in);
  const int64_t each = padded(HWY_DYNAMIC_DISPATCH(forward_scratch)(in.table.longest * in.group(), o.head_dim));
  auto* scratch = workspace_.get<float>(Workspace::heads, each * threads());
  const auto tasks = static_cast<int64_t>(in.table.pieces.size()) * o.kv_heads;
  for_tasks(tasks, [&](int64_t worker, int64_t task) {
    const SpanPiece& piece = in.table.pieces[static_cast<size_t>(task / o.kv_heads)];
    HWY_DYNAMIC_DISPATCH(attention_task)
    (in, {piece.span, piece.begin, piece.end, static_cast<int32_t>(task % o.kv_heads)}, out, lse,
     scratch + worker * each);
  });
}

void CpuBackend::attention_backward(const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& delta,
                                    const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                                    const Tensor& k, const Tensor& v, const AttentionPlan& plan,
                                    const Attention& o) {
  const AttentionInput in{q, k, v, table_of(plan, o), o};
  check(in);
  FETTLE_CHECK(!in.table.group_begin.empty());
  for_row_pieces(q.rows, q.cols, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(delta_rows)(delta, dout, out, o, begin, end);
  });
  const int64_t each = padded(HWY_DYNAMIC_DISPATCH(backward_scratch)(o.head_dim));
  // Heads that share keys sum into columns of their own, which are added in order at the end.
  const bool shared = in.group() > 1;
  const int64_t sums = shared ? k.rows * o.heads * o.head_dim : 0;
  auto* scratch = workspace_.get<float>(Workspace::heads, each * threads() + 2 * sums);
  float* key_sums = scratch + each * threads();
  if (shared) fill(Tensor(key_sums, DType::f32, 2 * k.rows, o.heads * o.head_dim), 0.0F);
  for_tasks(int64_t{in.table.groups()} * o.heads, [&](int64_t worker, int64_t task) {
    const int64_t head = task % o.heads;
    BackwardOutput to{dq, dk, dv, delta, dout, lse, head * o.head_dim};
    if (shared) {
      to.dk = Tensor(key_sums, DType::f32, k.rows, o.heads * o.head_dim);
      to.dv = Tensor(key_sums + sums, DType::f32, k.rows, o.heads * o.head_dim);
    }
    const auto group = static_cast<size_t>(task / o.heads);
    const auto from = static_cast<size_t>(in.table.group_begin[group]),
               until = static_cast<size_t>(in.table.group_begin[group + 1]);
    HWY_DYNAMIC_DISPATCH(attention_backward_task)
    (in, in.table.group_spans.subspan(from, until - from), head, to, scratch + worker * each);
  });
  if (!shared) return;
  for_row_pieces(k.rows, o.heads * o.head_dim, [&](int64_t begin, int64_t end) {
    HWY_DYNAMIC_DISPATCH(add_groups)(dk, key_sums, o, begin, end);
    HWY_DYNAMIC_DISPATCH(add_groups)(dv, key_sums + sums, o, begin, end);
  });
}

}  // namespace fettle::cpu
#endif  // HWY_ONCE
