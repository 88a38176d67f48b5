#include "train/trainer.h"

#include <chrono>
#include <cmath>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/log.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/training/packing.h"
#include "parallel/agree.h"
#include "tensor/process_memory.h"
#include "train/loss_engine.h"
#include "train/metrics.h"
#include "train/output.h"
#include "train/plan.h"
#include "train/ranks.h"
#include "train/reference.h"
#include "train/rejected_file.h"
#include "train/run_state.h"
#include "train/schedule.h"

namespace fettle::train {
namespace {

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The config without what changes no number, with contents in the place of names.
OrderedJson fingerprint_of(const TrainConfig& config, const TrainModel& model, const TrainRows& rows,
                           const TrainRows& eval) {
  OrderedJson json = to_json(config);
  for (const char* key : {"out", "save_every", "keep", "memory_limit", "force_memory", "micro_tokens", "recompute", "device", "dtype", "token_cache"})
    json.erase(key);
  for (const char* key : {"model", "data", "eval", "chat_template"}) json.erase(key);
  if (json.contains("adapter")) json["adapter"].erase("init");
  if (!config.split_turns) json.erase("split_turns");
  if (config.master_weights) json.erase("master_weights");
  if (!config.router_loss_weight) json.erase("router_loss_weight");
  json["model_hash"] = model.hash;
  json["data_hash"] = rows.hash;
  if (eval.size() > 0) json["eval_hash"] = eval.hash;
  return json;
}

LossOptions loss_options(const TrainConfig& config, const Method& method) {
  return {.beta = config.beta.value_or(method.beta),
          .gamma = config.gamma,
          .label_smoothing = config.label_smoothing,
          .desirable_weight = config.desirable_weight,
          .undesirable_weight = config.undesirable_weight};
}

class Run {
 public:
  Run(const TrainConfig& config, const TrainCallbacks& callbacks, parallel::ProcessGroup& group)
      : group_(group),
        config_(config),
        written_(config),
        callbacks_(callbacks),
        method_(method_from_name(config.method)),
        states_(config.out, config.keep) {
    if (!callbacks_.should_stop) callbacks_.should_stop = [] { return interrupted(); };
  }

  /// Model, rows and plan. Nothing is written but rejected.jsonl, and that only where `write` says so.
  void prepare(bool write) {
    const int64_t libraries = resident_bytes() - anonymous_bytes();
    std::optional<RunPosition> saved;
    // Of each machine one rank reads first: what it makes of the data is there for the others.
    for (const bool first : {true, false})
      parallel::together_do(group_, [&] {
        if (group_.leads_machine() == first) read_inputs(write && group_.leads());
      });
    check_same_run(group_, position_.fingerprint);
    parallel::together_do(group_, [&] {
      if (write && group_.leads()) states_.remove_broken();
      if (group_.leads()) saved = states_.newest();
    });
    saved = share_position(group_, saved);
    parallel::together_do(group_, [&] {
      if (saved) go_on_from(*saved);
      // Frozen weights are mapped files, trained ones have a line of their own; the rest that was taken is tokenizer and rows.
      const int64_t own_weights =
          model_->adapter ? model_->adapter->parameters.value_bytes() : model_->loaded.parameters.value_bytes();
      const int64_t program = libraries + std::max<int64_t>(0, anonymous_bytes() - own_weights);
      make_decoder();
      plan(program);
    });
    agree_on_plan(group_, plan_);
    settle_arithmetic();
  }

  void read_inputs(bool write) {
    validate(config_);
    model_ = open_train_model(config_);
    keep_to_context();
    load_data(write);
    check_rows(rows_);
    check_rows(eval_);
    if (plan_.rows_beyond_context > 0)
      log_warning("{} rows are longer than the {} positions that the model was made for (max_position_embeddings); a "
                  "smaller max_length cuts them",
                  plan_.rows_beyond_context, model_->loaded.config.context_length);
    position_.fingerprint = fingerprint_of(config_, *model_, rows_, eval_);
  }

  TrainResult train() {
    result_.plan = plan_;
    if (callbacks_.on_plan) callbacks_.on_plan(plan_);
    if (plan_.first_step == plan_.steps && parallel::any(group_, group_.leads() && is_finished(config_.out, position_.fingerprint))) {
      read_logs();
      result_.finished_before = true;
      return std::move(result_);
    }
    if (!plan_.shortage.empty()) {
      if (!config_.force_memory) fail("memory", "{}", plan_.shortage);
      log_warning("memory: {}", plan_.shortage);
    }
    model_->decoder->reserve_training(plan_.micro_tokens, plan_.micro_tokens);
    engine_ = std::make_unique<LossEngine>(*model_->decoder, method_, loss_options(config_, method_),
                                       plan_.micro_tokens, router_weight(), group_);
    if (method_.reference) compute_references();
    if (plan_.first_step > 0) restore();
    open_logs();
    loop();
    finish();
    return std::move(result_);
  }

  const TrainPlan& plan_made() const { return plan_; }

 private:
  void load_data(bool write) {
    const Tokenizer& tokenizer = *model_->loaded.tokenizer;
    const ChatTemplate* chat = model_->chat ? &*model_->chat : nullptr;
    rows_ = load_rows(config_, method_, config_.data, tokenizer, chat);
    auto starts = rows_.conversation_starts();
    conversations_ = static_cast<int64_t>(starts.size());
    order_ = data::EpochOrder(rows_.size(), config_.seed, config_.shuffle, std::move(starts));
    eval_.kind = method_.rows;
    check_labels(rows_);
    if (!config_.eval.empty()) eval_ = load_rows(config_, method_, config_.eval, tokenizer, chat);
    warn_of_seen_rows(rows_, eval_);
    if (write) write_rejected_rows(config_, rows_, eval_);
  }

  void go_on_from(const RunPosition& saved) {
    check_fingerprint(saved.fingerprint, position_.fingerprint, config_.out);
    position_ = saved;
    // What was chosen for the machine at the first start holds: other micro-batches add up in another order.
    config_.micro_tokens = saved.arithmetic.at("micro_tokens").get<int64_t>();
    config_.recompute = saved.arithmetic.at("recompute").get<std::string>() == "block"
                            ? RecomputeChoice::block
                            : RecomputeChoice::none;
  }

  void make_decoder() {
    // Nothing is computed beyond max_length positions.
    DecoderOptions options{
        .product = model_->product, .activations = model_->activations, .context_length = config_.max_length};
    model_->decoder = std::make_unique<Decoder>(model_->loaded.config, model_->loaded.parameters,
                                                *model_->backend, options);
    if (model_->adapter) model_->decoder->set_adapters({{&*model_->adapter, 1.0F}});
  }

  /// Learned positions end where their table ends; other kinds go on, into what the model has not seen.
  void keep_to_context() {
    const ModelConfig& model = model_->loaded.config;
    if (model.position != PositionKind::learned || config_.max_length <= model.context_length) return;
    log_warning("max_length: {} is beyond the {} positions that the model has learned; {} is used", config_.max_length,
                model.context_length, model.context_length);
    config_.max_length = model.context_length;
  }

  /// What would only come out within a step: tokens without an embedding. Counts rows beyond the context.
  void check_rows(const TrainRows& rows) {
    const ModelConfig& model = model_->loaded.config;
    for (int64_t i = 0; rows.sums.largest_id >= model.vocab_size && i < rows.size(); ++i) check_ids(rows.row(i));
    if (model.context_length <= 0) return;
    for (auto at = rows.sums.lengths.upper_bound(model.context_length); at != rows.sums.lengths.end(); ++at) plan_.rows_beyond_context += at->second;
  }

  void check_ids(const TrainRow& row) const {
    const ModelConfig& model = model_->loaded.config;
    for (const auto* ids : {&row.prompt, &row.chosen, &row.rejected}) {
      for (const int32_t id : *ids) {
        if (id >= 0 && id < model.vocab_size) continue;
        fail(fmt::format("row {}", row.id),
             "holds the token {} ('{}'), and the model's vocabulary has {} (embed.weight has no row for it); the "
             "tokenizer has {} tokens: use the tokenizer of this model, or a model whose embedding was resized",
             id, id >= 0 && id < model_->loaded.tokenizer->size() ? model_->loaded.tokenizer->token(id) : "", model.vocab_size,
             model_->loaded.tokenizer->size());
      }
    }
  }

  void plan(int64_t program) {
    plan_.backend = std::string(model_->backend->name());
    plan_.product = model_->product;
    plan_.activations = model_->activations;
    plan_.parameters = model_->loaded.parameters.count();
    plan_.trainable_parameters = model_->trained().count(true);
    plan_.rows = rows_.size();
    plan_.eval_rows = eval_.size();
    plan_.steps_per_epoch = data::steps_per_epoch(plan_.rows, config_.batch_size);
    plan_.steps = config_.steps > 0
                      ? config_.steps
                      : static_cast<int64_t>(
                            std::ceil(config_.epochs * static_cast<double>(plan_.steps_per_epoch) - 1e-9));
    plan_.tokens_per_epoch = rows_.sums.tokens;
    plan_.first_step = position_.step;
    plan_.sample = show_row(rows_, 0, *model_->loaded.tokenizer, false);
    plan_.coloured_sample = show_row(rows_, 0, *model_->loaded.tokenizer, true);
    plan_.data_report = rows_.summary;
    plan_.data_counts = rows_.report;
    if (eval_.size() > 0) plan_.data_report += "\nheld out: " + eval_.summary;
    const int64_t longest = std::max(longest_item(rows_, method_), longest_item(eval_, method_));
    plan_disk(config_, rows_, eval_, plan_);
    const int64_t step_tokens = tokens_of_a_rank(group_, config_.batch_size * longest, plan_.tokens_per_epoch, plan_.steps_per_epoch);
    plan_memory(config_, *model_, longest, step_tokens, program + data_bytes(config_, method_, rows_, eval_, conversations_), plan_, group_.on_this_machine());
    plan_time(config_, *model_, rows_, plan_);
    plan_.seconds_per_step /= group_.size();
    plan_.ranks = group_.size();
  }

  void settle_arithmetic() {
    model_->decoder->set_recompute(plan_.recompute);
    OrderedJson arithmetic{{"micro_tokens", plan_.micro_tokens},
                                 {"recompute", plan_.recompute == Recompute::block ? "block" : "none"},
                                 {"product", plan_.product == Product::bf16 ? "bf16" : "f32"},
                                 {"backend", plan_.backend},
                                 {"threads", threads()}};
    if (!group_.is_alone()) arithmetic["ranks"] = group_.size();
    if (model_->activations != DType::f32) arithmetic["activations"] = dtype_name(model_->activations);
    if (position_.step > 0 && Json::parse(position_.arithmetic.dump()) != Json::parse(arithmetic.dump()))
      log_warning(
          "this run began with {}, and goes on with {}: its numbers will differ in their last bits from an "
          "undisturbed run",
          position_.arithmetic.dump(), arithmetic.dump());
    position_.arithmetic = arithmetic;
  }

  void compute_references() {
    const auto pairings =
        method_.mismatched_kl ? mismatched_pairs(config_, rows_.size(), plan_.steps) : std::vector<Pairing>{};
    reference_ =
        reference_sums(*model_, *engine_, rows_, pairings, callbacks_.should_stop, callbacks_.progress, group_);
    if (eval_.size() == 0) return;
    std::vector<Pairing> eval_pairings;
    if (method_.mismatched_kl) {
      std::vector<int64_t> all(static_cast<size_t>(eval_.size()));
      for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<int64_t>(i);
      eval_pairings = rotated(all);
    }
    eval_reference_ =
        reference_sums(*model_, *engine_, eval_, eval_pairings, callbacks_.should_stop, callbacks_.progress, group_);
  }

  Optimizer& optimizer() {
    if (!optimizer_)
      optimizer_ = std::make_unique<Optimizer>(config_.optimizer, model_->trained(), *model_->backend, config_.seed);
    return *optimizer_;
  }

  void restore() {
    parallel::together_do(group_, [&] {
      if (group_.leads()) states_.restore(position_.step, *model_, optimizer());
    });
    share_state(group_, tensors_of(*model_, optimizer()), *model_->backend);
    model_->decoder->weights_changed();
    log_info("going on after step {} of {}", position_.step, plan_.steps);
  }

  float router_weight() const {
    const ModelConfig& model = model_->loaded.config;
    if (config_.router_loss_weight && model.expert_count() == 0)
      fail_usage("router_loss_weight: this model has no experts; take the key out");
    if (config_.router_loss_weight) return static_cast<float>(*config_.router_loss_weight);
    return model.router_loss ? model.router_loss_weight : 0.0F;
  }

  void read_logs() {
    const int64_t last = plan_.first_step > 0 ? plan_.first_step : -1;
    open_logs_at(last);
  }

  void open_logs() {
    open_logs_at(plan_.first_step > 0 ? plan_.first_step : -1);
    if (eval_.size() > 0 && plan_.first_step == 0) evaluate(0);
  }

  void open_logs_at(int64_t last_step) {
    if (!group_.leads()) return;
    const fs::path metrics = config_.out / "metrics.jsonl", evals = config_.out / "eval.jsonl";
    metrics_ = std::make_unique<StepLog>(metrics, last_step);
    for (const Json& row : metrics_->kept())
      result_.steps.push_back(step_metrics_from_json(row, metrics.string()));
    if (eval_.size() == 0) return;
    evals_ = std::make_unique<StepLog>(evals, last_step);
    for (const Json& row : evals_->kept())
      result_.evals.push_back(eval_metrics_from_json(row, evals.string()));
  }

  void loop() {
    const Clock::time_point start = Clock::now();
    std::unique_ptr<Progress> bar;
    if (callbacks_.progress)
      bar = std::make_unique<Progress>(config_.method, static_cast<uint64_t>(plan_.steps - position_.step),
                                       "steps");
    while (position_.step < plan_.steps) {
      if (!step()) stop();
      if (bar) {
        const StepMetrics& last = result_.steps.back();
        bar->note(last.preference ? fmt::format("loss {:.4f} accuracy {:.2f}", last.loss,
                                                last.preference->reward_accuracy)
                                  : fmt::format("loss {:.4f}", last.loss));
        bar->advance();
      }
      if (eval_due()) evaluate(position_.step);
      const bool last = position_.step == plan_.steps;
      if (last || (config_.save_every > 0 && position_.step % config_.save_every == 0)) save();
    }
    result_.seconds = seconds_since(start);
  }

  /// One optimiser step; false when it was stopped half-way, in which case nothing has changed.
  bool step() {
    const Clock::time_point start = Clock::now();
    const int64_t number = position_.step + 1;
    const data::BatchRows batch = order_.batch(position_.step, config_.batch_size);
    optimizer().zero_gradients();
    if (model_->adapter && model_->adapter->config.dropout > 0.0F)
      model_->decoder->set_dropout_step(config_.seed, static_cast<uint64_t>(number));
    const auto pass = engine_->accumulate(rows_, batch.rows, reference_, number, callbacks_.should_stop);
    model_->decoder->set_dropout_step(config_.seed, 0);
    if (!pass) return false;
    sum_gradients(group_, optimizer().gradients(), *model_->backend);
    const double norm = optimizer().gradient_norm();
    if (!std::isfinite(norm)) fail_gradient(number, norm, batch.rows);
    const double rate =
        config_.learning_rate * schedule_factor(config_.schedule, position_.step, plan_.steps);
    optimizer().update(number, rate, clip_factor(norm, config_.max_grad_norm));
    model_->decoder->weights_changed();
    position_.step = number;

    StepMetrics metrics{.step = number,
                        .loss = pass->loss,
                        .tokens = pass->tokens,
                        .supervised_tokens = pass->supervised_tokens,
                        .seconds = seconds_since(start),
                        .learning_rate = rate,
                        .grad_norm = norm,
                        .peak_memory_bytes = peak_resident_bytes(),
                        .router_loss = pass->router_loss,
                        .preference = pass->preference};
    metrics.tokens_per_second = static_cast<double>(metrics.tokens) / metrics.seconds;
    if (metrics_) metrics_->append(to_json(metrics));
    result_.steps.push_back(metrics);
    if (callbacks_.on_step) callbacks_.on_step(metrics);
    return true;
  }

  [[noreturn]] void fail_gradient(int64_t step, double norm, const std::vector<int64_t>& rows) const {
    std::string ids;
    for (const int64_t row : rows) ids += (ids.empty() ? "" : ", ") + rows_.row(row).id;
    fail(fmt::format("step {}", step),
         "the gradient norm is {}, rows {}; the last saved state is unharmed: lower the learning rate, or "
         "take these rows out",
         norm, ids);
  }

  bool eval_due() const {
    if (eval_.size() == 0) return false;
    const int64_t every = config_.eval_every > 0 ? config_.eval_every : plan_.steps_per_epoch;
    return position_.step % every == 0 || position_.step == plan_.steps;
  }

  void evaluate(int64_t step) {
    const PassResult pass = engine_->evaluate(eval_, eval_reference_);
    const EvalMetrics metrics{.step = step,
                              .rows = eval_.size(),
                              .loss = pass.loss,
                              .preference = pass.preference,
                              .reward_accuracy_error = pass.accuracy_error};
    if (evals_) evals_->append(to_json(metrics));
    result_.evals.push_back(metrics);
    if (callbacks_.on_eval) callbacks_.on_eval(metrics);
    if (!config_.keep_best.empty() && step > 0) keep_if_best(metrics);
  }

  void keep_if_best(const EvalMetrics& metrics) {
    double value = -metrics.loss;
    if (config_.keep_best == "reward_accuracy") value = metrics.preference->reward_accuracy;
    if (config_.keep_best == "reward_margin") value = metrics.preference->reward_margin;
    if (std::isnan(value) || (position_.best && value <= *position_.best)) return;
    position_.best = value;
    position_.best_step = metrics.step;
    if (group_.leads()) replace_model_folder(config_.out / "best", config_, *model_);
  }

  /// Every rank holds the same state, which is checked, and rank 0 writes it.
  void save() {
    saved_step_ = position_.step;
    check_same_state(group_, tensors_of(*model_, optimizer()), position_.step, *model_->backend);
    if (!group_.leads()) return;
    metrics_->flush();
    if (evals_) evals_->flush();
    states_.save(position_, *model_, optimizer());
  }

  [[noreturn]] void stop() {
    if (position_.step > plan_.first_step && saved_step_ != position_.step) save();
    throw parallel::AgreedError(
        Error::Kind::interrupted,
        fmt::format(
            "stopped after step {} of {}; the state is saved in {}: the same command goes on from there",
            position_.step, plan_.steps, (config_.out / "state").string()));
  }

  void finish() {
    if (!group_.leads()) return;
    save_model_files(config_.out, config_, *model_);
    save_descriptions({written_, rows_, eval_, result_, position_.fingerprint}, *model_);
  }

  parallel::ProcessGroup& group_;
  TrainConfig config_;
  TrainConfig written_;  ///< as the user wrote it, also where an earlier start chose for the machine
  TrainCallbacks callbacks_;
  const Method& method_;
  RunStates states_;
  std::unique_ptr<TrainModel> model_;
  TrainRows rows_, eval_;
  int64_t conversations_ = 0;  ///< TrainRows::conversation_starts
  data::EpochOrder order_;
  TrainPlan plan_;
  RunPosition position_;
  int64_t saved_step_ = -1;
  std::unique_ptr<Optimizer> optimizer_;
  std::unique_ptr<LossEngine> engine_;
  ReferenceSums reference_, eval_reference_;
  std::unique_ptr<StepLog> metrics_, evals_;
  TrainResult result_;
};

}  // namespace

TrainPlan plan_training(const TrainConfig& config, parallel::ProcessGroup& group) {
  Run run(config, {}, group);
  run.prepare(false);
  return run.plan_made();
}

TrainResult train(const TrainConfig& config, const TrainCallbacks& callbacks, parallel::ProcessGroup& group) {
  std::optional<FolderLock> lock;
  parallel::together_do(group, [&] {
    if (group.leads()) lock.emplace(config.out);
  });
  Run run(config, callbacks, group);
  run.prepare(true);
  TrainResult result = run.train();
  parallel::together_do(group, [&] {
    if (lock) lock->check();
  });
  return result;
}

std::vector<std::string> method_names() {
  std::vector<std::string> names;
  for (const Method* method : methods()) names.emplace_back(method->name);
  return names;
}

}  // namespace fettle::train
