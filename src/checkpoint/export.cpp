#include "checkpoint/export.h"

#include <algorithm>
#include <cmath>

#include "base/log.h"
#include "kernels/quant.h"
#include "model/decoder.h"

namespace fettle {
namespace {

bool is_plain(DType dtype) {
  return dtype == DType::f32 || dtype == DType::f16 || dtype == DType::bf16;
}

DType choose_dtype(const LoadedModel& model, const ExportOptions& options) {
  if (options.to == ModelFormat::llama2c) {
    if (options.dtype && *options.dtype != DType::f32)
      fail_usage("llama2.c checkpoints are f32; leave --dtype out");
    return DType::f32;
  }
  if (options.dtype) {
    const bool possible =
        options.to == ModelFormat::hf ? is_plain(*options.dtype) : can_quantize(*options.dtype);
    if (!possible) {
      fail_usage("--dtype {}: {} can hold {}", dtype_name(*options.dtype),
                 options.to == ModelFormat::hf ? "a Hugging Face folder" : "a GGUF",
                 options.to == ModelFormat::hf
                     ? "f32, f16 or bf16"
                     : "f32, f16, bf16, q8_0, q4_0, q4_1, q5_0, q5_1, q4_k, q5_k or q6_k");
    }
    return *options.dtype;
  }
  if (options.to == ModelFormat::hf) return is_plain(model.dtype) ? model.dtype : DType::f32;
  return can_quantize(model.dtype) ? model.dtype : DType::f32;
}

/// A bias that the model has no place for would be lost.
void check_biases(const LoadedModel& model) {
  constexpr std::string_view suffix = ".lora_bias";
  for (const auto& parameter : model.adapter->parameters.all()) {
    if (!parameter->name.ends_with(suffix)) continue;
    const std::string bias = parameter->name.substr(0, parameter->name.size() - suffix.size()) + ".bias";
    if (model.parameters.find(bias) == nullptr)
      fail(model.adapter_path.string(), "has a bias (lora_bias) for '{}', which has none in this model: the adapter can be "
           "used beside the model, but not merged", bias);
  }
}

/// The logits of every token, a few rows at a time, over a cache: what generation sees.
class LogitRows {
 public:
  LogitRows(LoadedModel& model, Backend& backend, int64_t tokens, float adapter_factor)
      : decoder_(model.config, model.parameters, backend),
        cache_(KvCache::make(model.config, tokens, DType::f32, backend)),
        vocab_(model.config.vocab_size) {
    if (model.adapter) decoder_.set_adapters({{&*model.adapter, adapter_factor}});
  }

  /// Logits of tokens [begin, end), which follow those of the call before.
  std::span<const float> next(std::span<const int32_t> tokens, int32_t begin, int32_t end) {
    Batch batch;
    std::vector<int32_t> cache_rows;
    for (int32_t t = begin; t < end; ++t) {
      batch.tokens.push_back(tokens[static_cast<size_t>(t)]);
      batch.positions.push_back(t);
      batch.label_rows.push_back(t - begin);
      batch.labels.push_back(0);
      cache_rows.push_back(t);
    }
    if (begin > 0) batch.ranges.push_back({0, begin});
    batch.spans.push_back({0, end - begin, begin, 0, static_cast<int32_t>(batch.ranges.size())});
    logits_.resize(static_cast<size_t>(end - begin) * static_cast<size_t>(vocab_));
    decoder_.extend(batch, cache_rows, cache_, Tensor(logits_.data(), DType::f32, end - begin, vocab_));
    return logits_;
  }
  int64_t vocab() const { return vocab_; }

 private:
  Decoder decoder_;
  KvCache cache_;
  int64_t vocab_;
  std::vector<float> logits_;
};

/// Apart from kernels/sampling.h's: differences of a billionth are compared here.
double exact_log_sum_exp(std::span<const float> logits) {
  const double top = *std::max_element(logits.begin(), logits.end());
  double sum = 0.0;
  for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - top);
  return top + std::log(sum);
}

/// Adds what one row says of the two models; `next` is the token that follows.
void compare_row(ExportCheck& check, std::span<const float> source, std::span<const float> exported,
                 int32_t next) {
  const double source_norm = exact_log_sum_exp(source), exported_norm = exact_log_sum_exp(exported);
  for (size_t i = 0; i < source.size(); ++i) {
    const double p = source[i] - source_norm, q = exported[i] - exported_norm;
    check.kl += std::exp(p) * (p - q);
  }
  const double p = source[static_cast<size_t>(next)] - source_norm,
               q = exported[static_cast<size_t>(next)] - exported_norm;
  check.source_logp += p;
  check.exported_logp += q;
  check.largest_difference = std::max(check.largest_difference, std::fabs(p - q));
  const auto best = [](std::span<const float> row) {
    return std::max_element(row.begin(), row.end()) - row.begin();
  };
  check.same_best += best(source) == best(exported) ? 1.0 : 0.0;
  ++check.tokens;
}

}  // namespace

DType export_model(const LoadedModel& model, const ExportOptions& options) {
  const DType dtype = choose_dtype(model, options);
  if (options.output.empty()) fail_usage("--output is missing: where should the exported model go?");
  std::error_code none;
  if (fs::equivalent(options.output, model.path, none)) {
    fail_usage("--output {}: is the model itself; name another place", options.output.string());
  }
  ModelToSave save = to_save(model);
  ModelConfig config = model.config;
  if (model.adapter) {
    if (config.tied_embeddings && model.adapter->separates_head()) {
      config.tied_embeddings = false;
      log_info("the adapter makes embedding and head two matrices; both are written");
    }
    check_biases(model);
    save.config = &config;
    save.weights.adapter = &*model.adapter;
    save.weights.factor = options.adapter_factor;
  }
  switch (options.to) {
    case ModelFormat::hf:
      save_hf(options.output, save, dtype, options.shard_bytes);
      break;
    case ModelFormat::gguf:
      save_gguf(options.output, save, dtype);
      break;
    case ModelFormat::llama2c:
      save_llama2c(options.output, save);
      break;
  }
  return dtype;
}

ExportCheck check_export(LoadedModel& source, const fs::path& output, std::span<const int32_t> tokens,
                         const LoadOptions& options, float adapter_factor) {
  constexpr int32_t rows_at_once = 16;
  LoadedModel exported = load_model(output, options);
  if (exported.config.vocab_size != source.config.vocab_size) {
    fail(output.string(), "has {} tokens, its source {}", exported.config.vocab_size,
         source.config.vocab_size);
  }
  const auto count = static_cast<int32_t>(
      std::min<size_t>(tokens.size(), static_cast<size_t>(source.config.context_length)));
  ExportCheck check;
  if (count < 2) return check;
  const auto backend = make_cpu_backend();
  LogitRows source_rows(source, *backend, count, adapter_factor),
      exported_rows(exported, *backend, count, 1.0F);
  const auto vocab = static_cast<size_t>(source_rows.vocab());
  for (int32_t begin = 0; begin + 1 < count; begin += rows_at_once) {
    const int32_t end = std::min(begin + rows_at_once, count - 1);
    const auto a = source_rows.next(tokens, begin, end), b = exported_rows.next(tokens, begin, end);
    for (int32_t t = begin; t < end; ++t) {
      const size_t at = static_cast<size_t>(t - begin) * vocab;
      compare_row(check, a.subspan(at, vocab), b.subspan(at, vocab), tokens[static_cast<size_t>(t) + 1]);
    }
  }
  check.kl /= static_cast<double>(check.tokens);
  check.same_best /= static_cast<double>(check.tokens);
  return check;
}

}  // namespace fettle
