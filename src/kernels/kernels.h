#pragma once
// The contract of every operation, forward and backward. cpu/ and cuda/ implement it, reference/ is the plain
// double-precision loop that tests compare with. Shapes are [rows, cols]; T tokens, C features, V vocabulary,
// H query heads, G key/value heads, D features of a head.
//
// All tensors lie in the backend's memory, which the host must not touch (backends.h has one that fails a test
// which does), and calls are queued in order on its stream (on the CPU they are done on return). Nothing is
// allocated but a workspace that the backend keeps and reports. Results do not depend on timing: the same call
// with the same threads gives the same bits. One caller at a time per backend. Broken shapes are assertions.
//
// `+=` in a comment means: the result is added to what stands there. Tensors that a comment says may be absent
// are left out that way.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kernels/sampling.h"
#include "tensor/memory.h"
#include "tensor/tensor.h"

namespace fettle {

/// What a matrix product multiplies in. bf16: operands rounded to bfloat16, sums in f32; only where the
/// machine has it in hardware (Backend::has_bf16), otherwise f32 is used.
enum class Product : uint8_t { f32, bf16 };

struct MatMul {
  bool transpose_a = false;
  bool transpose_b = false;
  float alpha = 1.0F;
  float beta = 0.0F;  ///< 0: c is overwritten, whatever stood there
  Product product = Product::f32;
  /// A row of c has the same bits whatever other rows are computed beside it. For f32 products with b
  /// transposed and a not.
  bool batch_invariant = false;
};

enum class Activation : uint8_t { silu, gelu, gelu_tanh, gelu_quick, relu };  ///< gelu: by erf

/// Rotary embedding: which columns of a head turn, and how they pair.
struct Rope {
  int32_t head_dim = 0;
  int32_t rotary_dim = 0;    ///< the first columns of each head that turn; even
  bool interleaved = false;  ///< pairs (2i, 2i+1); otherwise (i, i + rotary_dim/2)
  float magnitude = 1.0F;    ///< cos and sin are multiplied by it (yarn)
  bool inverse = false;      ///< turn back: the backward pass
};

/// A run of rows of the key/value buffer: [begin, end).
struct KeyRange {
  int32_t begin, end;
};

/// Queries [q_begin, q_end) are consecutive tokens of one sequence. Their own keys stand in rows k_begin… of
/// the key buffer: query q_begin+i sees own keys k_begin…k_begin+i. It also sees the whole of
/// ranges[range_begin, range_end): its earlier tokens, a shared prompt, pages of a cache. Keys are summed in tiles
/// that begin with a range or with the own keys. Rows [k_begin - own_before, k_begin) hold own keys of earlier
/// calls: a query then has the same bits whether its run came in one call or in several.
/// In a bidirectional span (an encoder's) every query sees all of the span's own keys, those behind it too.
struct Span {
  int32_t q_begin, q_end;
  int32_t k_begin;
  int32_t range_begin, range_end;
  int32_t own_before = 0;
  int32_t bidirectional = 0;  ///< 0 or 1
};

/// What the attention of all layers sees of one batch. Made on the host once (see plan_attention), uploaded once.
struct AttentionPlan {
  Tensor spans;            ///< i32 [spans, words of a Span]
  Tensor ranges;           ///< i32 [ranges, 2]
  Tensor query_positions;  ///< i32 [1, T]; positions are needed for a window or ALiBi alone
  Tensor key_positions;    ///< i32 [1, rows of the key buffer]
  Tensor schedule;         ///< i32 [1, n]: what plan_attention gave; what it says is the backend's own affair
};

struct Attention {
  int32_t heads = 0, kv_heads = 0, head_dim = 0;  ///< heads is a multiple of kv_heads
  float scale = 1.0F;
  /// A key is seen when query_position - key_position < window, and in a bidirectional span key_position -
  /// query_position < window as well; 0: no window.
  int32_t window = 0;
  Tensor alibi_slopes;  ///< f32 [1, heads], may be absent; score -= slope * (query_position - key_position)
};

/// A matrix that rows of one group are multiplied by, and a factor on the product.
struct GroupMatrix {
  Tensor matrix;
  float alpha = 1.0F;
};

/// A training step's update of one parameter.
struct AdamW {
  float learning_rate, beta1, beta2, eps, weight_decay;  ///< decoupled decay
  float grad_scale;  ///< the gradient is multiplied by it first (clipping)
  int64_t step;      ///< from 1; for the bias correction
};
struct RmsProp {
  float learning_rate, alpha, eps, weight_decay, momentum, grad_scale;
};
struct Sgd {
  float learning_rate, momentum, weight_decay, grad_scale;
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name()
      const = 0;                      ///< "reference", "cpu avx2", "cpu avx512", "cpu avx512 bf16", "cpu amx"
  virtual bool has_bf16() const = 0;  ///< bf16 products in hardware
  virtual Memory& memory() = 0;
  virtual int64_t workspace_bytes() const = 0;
  virtual void synchronize() = 0;
  virtual void copy_to_host(void* destination, const Tensor& source) = 0;  ///< contiguous bytes; waits
  /// The source may change once this returns.
  virtual void copy_from_host(const Tensor& destination, const void* source) = 0;

  // ---- moving and converting
  virtual void fill(const Tensor& x, float value) = 0;
  /// dst = src, converting between any two dtypes; to a quantised type by ggml's own reference rounding.
  virtual void copy(const Tensor& dst, const Tensor& src) = 0;
  /// dst[i] = src[rows[i]]; src of any dtype, dst f32. rows: i32 [1, dst.rows].
  virtual void gather_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) = 0;
  /// dst[rows[i]] = src[i]; src f32 or of dst's dtype. No row comes twice.
  virtual void scatter_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) = 0;
  /// dst[rows[i]] += src[i], in the order of i.
  virtual void scatter_add_rows(const Tensor& dst, const Tensor& src, const Tensor& rows) = 0;

  // ---- elementwise, f32
  virtual void add(const Tensor& y, const Tensor& x, float alpha = 1.0F) = 0;  ///< y += alpha * x
  virtual void scale(const Tensor& x, float factor) = 0;
  virtual void multiply(const Tensor& x, const Tensor& factors) = 0;      ///< x *= factors, of x's shape or [1, C]
  virtual void add_bias(const Tensor& x, const Tensor& bias) = 0;         ///< every row += bias [1, C]
  virtual void bias_backward(const Tensor& dbias, const Tensor& dy) = 0;  ///< dbias += column sums
  virtual void clamp(const Tensor& x, float limit) = 0;                   ///< to [-limit, limit]
  virtual void clamp_backward(const Tensor& dx, const Tensor& x,
                              float limit) = 0;  ///< dx = 0 where |x| > limit
  /// x = x * keep / (1 - probability); which element is kept depends on (seed, stream, its index) alone, so
  /// the backward pass is the same call on the gradient.
  virtual void dropout(const Tensor& x, float probability, uint64_t seed, uint64_t stream) = 0;

  // ---- products
  /// c = alpha * op(a) op(b) + beta * c, c f32 [m, n]. a f32 or bf16; b f32, f16, bf16 or quantised (then
  /// op(b) may be transposed or not; b's own rows are the quantised ones).
  virtual void matmul(const Tensor& c, const Tensor& a, const Tensor& b, const MatMul& options) = 0;

  // ---- normalisation
  /// out = x * rstd * (weight + offset), rstd = 1/sqrt(mean(x²) + eps). rstd: f32 [1, T], kept for the
  /// backward; may be absent.
  virtual void rms_norm(const Tensor& out, const Tensor& x, const Tensor& weight, float eps, float offset,
                        const Tensor& rstd) = 0;
  /// dx += …; dweight += … unless absent.
  virtual void rms_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dy, const Tensor& x,
                                 const Tensor& weight, float offset, const Tensor& rstd) = 0;
  /// out = (x - mean) * rstd * weight + bias; bias may be absent. mean, rstd: [1, T], may be absent.
  virtual void layer_norm(const Tensor& out, const Tensor& x, const Tensor& weight, const Tensor& bias,
                          float eps, const Tensor& mean, const Tensor& rstd) = 0;
  /// dx += …; dweight, dbias += … unless absent.
  virtual void layer_norm_backward(const Tensor& dx, const Tensor& dweight, const Tensor& dbias,
                                   const Tensor& dy, const Tensor& x, const Tensor& weight,
                                   const Tensor& mean, const Tensor& rstd) = 0;

  // ---- position
  /// Turns every head of x [T, heads*D] in place by positions[t] * inverse_frequencies[i]. positions i32 [1,
  /// T], inverse_frequencies f32 [1, rotary_dim/2]; angles in double precision.
  virtual void rope(const Tensor& x, const Tensor& positions, const Tensor& inverse_frequencies,
                    const Rope& rope) = 0;

  // ---- activations
  virtual void activation(const Tensor& out, const Tensor& x, Activation kind) = 0;
  virtual void activation_backward(const Tensor& dx, const Tensor& dy, const Tensor& x,
                                   Activation kind) = 0;  ///< dx = …
  /// out = act(gate) * up
  virtual void gated(const Tensor& out, const Tensor& gate, const Tensor& up, Activation kind) = 0;
  /// dgate, dup = …; dgate may be gate's memory and dup up's.
  virtual void gated_backward(const Tensor& dgate, const Tensor& dup, const Tensor& dy, const Tensor& gate,
                              const Tensor& up, Activation kind) = 0;

  // ---- mixtures of experts
  /// Of every row of logits [T, E] the k largest, the first of equals before the others. picks i32 [T, k]: their
  /// columns, largest first; weights [T, k]: the softmax over them; probabilities [T, E]: the softmax over all.
  virtual void route(const Tensor& picks, const Tensor& weights, const Tensor& probabilities,
                     const Tensor& logits) = 0;
  /// dlogits = … of dweights [T, k] and of dprobabilities [1, E], which is every row's (may be absent: zero).
  virtual void route_backward(const Tensor& dlogits, const Tensor& dweights, const Tensor& dprobabilities,
                              const Tensor& picks, const Tensor& weights, const Tensor& probabilities) = 0;
  /// Which row goes to which expert. order, tokens i32 [1, T*k]: the places of picks (counted row by row) sorted by
  /// expert, then by place, and the token of each. begin i32 [1, E+1]: where each expert's part of them begins.
  /// counts i32 [1, E]: += the rows of each; may be absent.
  virtual void group_picks(const Tensor& begin, const Tensor& order, const Tensor& tokens, const Tensor& counts,
                           const Tensor& picks) = 0;
  virtual void scale_rows(const Tensor& x, const Tensor& factors) = 0;  ///< x[t] *= factors [1, T]
  /// out [1, T] = Σ a[t] b[t]
  virtual void row_dots(const Tensor& out, const Tensor& a, const Tensor& b) = 0;

  // ---- rows in groups: those of group e stand in [begin[e], begin[e+1]). The bounds are the backend's, so that no
  // router's choice need come to the host. Where a group's tensor is absent, its rows are left as they are.
  /// matmul of each group's rows of a by its b, into its rows of c. The first columns of a and c are used, as many as
  /// op(b) has rows and columns.
  virtual void grouped_matmul(const Tensor& c, const Tensor& a, std::span<const GroupMatrix> b, const Tensor& begin,
                              const MatMul& options) = 0;
  /// db[e] += alpha * dcᵀ a of the group's rows; first columns as above.
  virtual void grouped_matmul_gradient(std::span<const GroupMatrix> db, const Tensor& dc, const Tensor& a,
                                       const Tensor& begin, Product product) = 0;
  virtual void grouped_multiply(const Tensor& x, std::span<const Tensor> factors, const Tensor& begin) = 0;  ///< [1, C]
  virtual void grouped_column_sums(std::span<const Tensor> sums, const Tensor& x, const Tensor& begin) = 0;  ///< +=
  /// dropout of each group's rows with the elements counted from its first; a stream of 0: the group is left out.
  virtual void grouped_dropout(const Tensor& x, float probability, uint64_t seed, std::span<const uint64_t> streams,
                               const Tensor& begin) = 0;

  // ---- attention
  /// The host's share of attention's work: how the spans of a batch are cut into pieces and, for a backward pass, which
  /// may run side by side. For layers of `kv_heads` key/value heads; other layers may use it too.
  virtual std::vector<int32_t> plan_attention(std::span<const Span> spans, std::span<const KeyRange> ranges,
                                              int32_t kv_heads, bool backward) const = 0;
  /// out [T, H*D] = softmax(scale q kᵀ) v over what `plan` lets each query see, by an online softmax: no [T,
  /// keys] array. q [T, H*D] f32 or bf16; k, v [keys, G*D] f32, f16 or bf16; out f32. lse [T, H]: log of the sum of
  /// exponentials; may be absent.
  virtual void attention(const Tensor& out, const Tensor& lse, const Tensor& q, const Tensor& k,
                         const Tensor& v, const AttentionPlan& plan, const Attention& options) = 0;
  /// dq = …; dk, dv += …. q, k, v f32 or bf16, all else f32. delta [T, H] is scratch.
  virtual void attention_backward(const Tensor& dq, const Tensor& dk, const Tensor& dv, const Tensor& delta,
                                  const Tensor& dout, const Tensor& out, const Tensor& lse, const Tensor& q,
                                  const Tensor& k, const Tensor& v, const AttentionPlan& plan,
                                  const Attention& options) = 0;

  // ---- log-probabilities
  /// logp[r] = logits[r, label[r]] - log sum exp(logits[r]). labels i32 [1, R]; logp f32 [1, R].
  /// best (i32 [1, R], may be absent): the first index of the largest logit.
  /// With dlogp (f32 [1, R], may be absent) logits become their own gradient in place:
  /// dlogits[r, v] = dlogp[r] * ([v == label] - softmax(logits[r])[v]).
  virtual void log_probabilities(const Tensor& logits, const Tensor& labels, const Tensor& logp,
                                 const Tensor& best, const Tensor& dlogp) = 0;

  // ---- sampling
  /// One token for each draw from its row of logits, which stay as they are, and the log-probabilities that are wanted of
  /// it (sampling.h).
  virtual void draw(const DrawResult& out, const Tensor& logits, const DrawBatch& batch) = 0;

  // ---- adapters
  /// norms [1, n]: the length of each row (or column) of weight + scale * (B A), summed in double precision. a, b f32; of
  /// rows: a [rank, in], b [n, rank]; by_column: weight [V, n], a [V, rank], b [n, rank], and it is the length of column n.
  virtual void adapted_norms(const Tensor& norms, const Tensor& weight, const Tensor& a, const Tensor& b, float scale,
                             bool by_column) = 0;

  // ---- optimisers; param and grad f32, grad is read only
  virtual void adamw(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                     const AdamW& o) = 0;
  /// State in 8 bits, block-wise dynamic quantisation (Dettmers et al. 2022): m, v u8 [1, n]; scales f32 [1,
  /// ceil(n/256)].
  virtual void adamw_8bit(const Tensor& param, const Tensor& grad, const Tensor& m, const Tensor& v,
                          const Tensor& m_scale, const Tensor& v_scale, const AdamW& o) = 0;
  virtual void rmsprop(const Tensor& param, const Tensor& grad, const Tensor& square, const Tensor& momentum,
                       const RmsProp& o) = 0;
  virtual void sgd(const Tensor& param, const Tensor& grad, const Tensor& momentum, const Sgd& o) = 0;
  /// sum (f32 [1, 1]) += Σ x², in double precision within the call and in a fixed order.
  virtual void sum_squares(const Tensor& sum, const Tensor& x) = 0;
  /// dst (bf16) = src (f32), each rounded up or down at random so that its mean is src: what is lost to one rounding is
  /// not lost to many (Gupta et al., "Deep Learning with Limited Numerical Precision", 2015). A function of (seed,
  /// stream, an element's index) alone. Contiguous.
  virtual void round_stochastically(const Tensor& dst, const Tensor& src, uint64_t seed, uint64_t stream) = 0;
};

/// The widest instruction set that may be used; `best` is what the machine has. $FETTLE_CPU = avx2 | avx512 |
/// bf16 | amx narrows it for a whole process.
enum class CpuLevel : uint8_t { avx2, avx512, avx512_bf16, amx, best };

std::unique_ptr<Backend> make_cpu_backend(CpuLevel level = CpuLevel::best);
/// The plain loops, on host memory: for tests of kernels.
std::unique_ptr<Backend> make_reference_backend();

}  // namespace fettle
