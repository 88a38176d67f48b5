#include <cmath>
#include <limits>

#include "kernels/reference/reference_backend.h"

namespace fettle::reference {
namespace {

/// A plan's arrays as what they are.
struct Table {
  const Span* spans;
  int64_t span_count;
  const KeyRange* ranges;
  const int32_t *query_positions, *key_positions;
  const float* alibi_slopes;  ///< null without
};

template <typename T>
const T* array(const Tensor& tensor) {
  return tensor.absent() ? nullptr : static_cast<const T*>(tensor.data);
}

Table table_of(const AttentionPlan& plan, const Attention& o) {
  return {array<Span>(plan.spans),
          plan.spans.rows,
          array<KeyRange>(plan.ranges),
          array<int32_t>(plan.query_positions),
          array<int32_t>(plan.key_positions),
          array<float>(o.alibi_slopes)};
}

/// The rows of the key buffer that query `i` of `span` sees.
std::vector<int64_t> seen_keys(const Span& span, int64_t i, const Table& table, const Attention& o) {
  std::vector<int64_t> keys;
  for (int64_t r = span.range_begin; r < span.range_end; ++r) {
    for (int64_t k = table.ranges[r].begin; k < table.ranges[r].end; ++k) keys.push_back(k);
  }
  const int64_t last = span.bidirectional != 0 ? span.q_end - span.q_begin - 1 : i;
  for (int64_t k = span.k_begin - span.own_before; k <= span.k_begin + last; ++k) keys.push_back(k);
  if (o.window > 0) {
    const int64_t position = table.query_positions[span.q_begin + i];
    std::erase_if(keys, [&](int64_t k) {
      const int64_t distance = position - table.key_positions[k];
      return distance >= o.window || (span.bidirectional != 0 && -distance >= o.window);
    });
  }
  return keys;
}

/// One head of one query.
struct Head {
  std::vector<float> q;
  int64_t kv_column;
  int64_t query, head;
};

double score(const Head& h, const std::vector<float>& key, int64_t key_row, const Table& table,
             const Attention& o) {
  double dot = 0;
  for (int64_t d = 0; d < o.head_dim; ++d)
    dot += double{h.q[static_cast<size_t>(d)]} * double{key[static_cast<size_t>(h.kv_column + d)]};
  dot *= double{o.scale};
  if (table.alibi_slopes != nullptr) {
    dot -= double{table.alibi_slopes[h.head]} * (table.query_positions[h.query] - table.key_positions[key_row]);
  }
  return dot;
}

/// Calls body(Head, seen keys) for every query and head.
template <typename F>
void for_each_head(const Tensor& q, const Table& table, const Attention& o, F body) {
  for (int64_t s = 0; s < table.span_count; ++s) {
    const Span& span = table.spans[s];
    for (int64_t i = 0; i < span.q_end - span.q_begin; ++i) {
      const auto keys = seen_keys(span, i, table, o);
      const int64_t query = span.q_begin + i;
      const std::vector<float> row = load_row(q, query);
      for (int64_t h = 0; h < o.heads; ++h) {
        const auto first = row.begin() + h * o.head_dim;
        body(Head{{first, first + o.head_dim}, h / (o.heads / o.kv_heads) * o.head_dim, query, h}, keys);
      }
    }
  }
}

}  // namespace

void ReferenceBackend::attention(const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k,
                                 const Tensor& v, const AttentionPlan& plan, const Attention& o) {
  const Table table = table_of(plan, o);
  std::vector<std::vector<float>> key_rows, value_rows;
  for (int64_t i = 0; i < k.rows; ++i) {
    key_rows.push_back(load_row(k, i));
    value_rows.push_back(load_row(v, i));
  }
  for_each_head(q, table, o, [&](const Head& h, const std::vector<int64_t>& keys) {
    std::vector<double> scores, sum(static_cast<size_t>(o.head_dim));
    double highest = -std::numeric_limits<double>::infinity(), total = 0;
    for (const int64_t key : keys) {
      scores.push_back(score(h, key_rows[static_cast<size_t>(key)], key, table, o));
      highest = std::max(highest, scores.back());
    }
    for (size_t n = 0; n < keys.size(); ++n) {
      const double weight = std::exp(scores[n] - highest);
      total += weight;
      for (size_t d = 0; d < sum.size(); ++d) {
        sum[d] +=
            weight * double{value_rows[static_cast<size_t>(keys[n])][static_cast<size_t>(h.kv_column) + d]};
      }
    }
    float* result = out.row<float>(h.query) + h.head * o.head_dim;
    for (size_t d = 0; d < sum.size(); ++d) result[d] = static_cast<float>(sum[d] / total);
    if (!lse.absent()) lse.row<float>(h.query)[h.head] = static_cast<float>(highest + std::log(total));
  });
}

void ReferenceBackend::attention_backward(const Tensor& dq, const Tensor& dk, const Tensor& dv,
                                          const Tensor& delta, const Tensor& dout, const Tensor& out,
                                          const Tensor& lse, const Tensor& q, const Tensor& k,
                                          const Tensor& v, const AttentionPlan& plan, const Attention& o) {
  const Table table = table_of(plan, o);
  const auto width = static_cast<size_t>(k.cols);
  std::vector<double> key_sums(static_cast<size_t>(k.rows) * width), value_sums(key_sums.size());
  for_each_head(q, table, o, [&](const Head& h, const std::vector<int64_t>& keys) {
    const float* d_row = dout.row<float>(h.query) + h.head * o.head_dim;
    const float* o_row = out.row<float>(h.query) + h.head * o.head_dim;
    double dot = 0;
    for (int64_t d = 0; d < o.head_dim; ++d) dot += double{d_row[d]} * double{o_row[d]};
    delta.row<float>(h.query)[h.head] = static_cast<float>(dot);
    std::vector<double> query_sum(static_cast<size_t>(o.head_dim));
    for (const int64_t key : keys) {
      const auto key_row = load_row(k, key), value_row = load_row(v, key);
      const double p = std::exp(score(h, key_row, key, table, o) - double{lse.row<float>(h.query)[h.head]});
      double dp = 0;
      for (int64_t d = 0; d < o.head_dim; ++d)
        dp += double{d_row[d]} * double{value_row[static_cast<size_t>(h.kv_column + d)]};
      const double ds = p * (dp - dot) * double{o.scale};
      for (size_t d = 0; d < query_sum.size(); ++d) {
        const size_t column = static_cast<size_t>(h.kv_column) + d,
                     cell = static_cast<size_t>(key) * width + column;
        value_sums[cell] += p * double{d_row[d]};
        key_sums[cell] += ds * double{h.q[d]};
        query_sum[d] += ds * double{key_row[column]};
      }
    }
    for (size_t d = 0; d < query_sum.size(); ++d) {
      dq.row<float>(h.query)[static_cast<size_t>(h.head * o.head_dim) + d] = static_cast<float>(query_sum[d]);
    }
  });
  for (int64_t i = 0; i < k.rows; ++i) {
    for (int64_t j = 0; j < k.cols; ++j) {
      dk.row<float>(i)[j] +=
          static_cast<float>(key_sums[static_cast<size_t>(i) * width + static_cast<size_t>(j)]);
      dv.row<float>(i)[j] +=
          static_cast<float>(value_sums[static_cast<size_t>(i) * width + static_cast<size_t>(j)]);
    }
  }
}

}  // namespace fettle::reference
