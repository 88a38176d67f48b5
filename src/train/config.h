#pragma once
// The training config of docs/training.md: what a YAML file and --set say, checked, as plain values.
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "checkpoint/add_tokens.h"
#include "data/training/dataset.h"
#include "model/adapter.h"

namespace fettle::train {

struct AdapterSettings {
  AdapterConfig config;
  std::string init;  ///< a PEFT folder to go on from; its rank, alpha and targets then hold
};

/// The learning rate at optimiser step k (from 0) is learning_rate * schedule_factor(…) of schedule.h.
struct ScheduleSettings {
  std::string name = "linear";  ///< constant | linear | cosine | wsd | inverse_sqrt
  double warmup = 0.0;          ///< below 1: share of all steps (rounded up); from 1 on: steps
  double decay = 0.1;           ///< wsd: share of all steps, or steps, that decay at the end
  double final = 0.0;           ///< factor at the end, where the schedule has one
};

struct OptimizerSettings {
  std::string name = "adamw";  ///< adamw | adamw8bit | rmsprop | sgd
  double beta1 = 0.9, beta2 = 0.999;
  double eps = 1e-8;
  double weight_decay = 0.0;
  double alpha = 0.99;     ///< rmsprop: decay of the squares
  double momentum = 0.0;   ///< rmsprop, sgd
  bool decay_all = false;  ///< weight decay on norms and biases too
};

enum class Precision : uint8_t { automatic, f32, bf16 };
enum class RecomputeChoice : uint8_t { automatic, none, block };

/// Every key of the config file. Keys without a note mean what docs/training.md says.
struct TrainConfig {
  std::string method;
  std::string model;  ///< as written; a path, unless the caller resolves names and sets model_path
  fs::path model_path;
  std::string init =
      "weights";  ///< weights | random: train from scratch what the folder's config.json describes
  std::vector<data::DataSource> data, eval;
  fs::path out;
  std::optional<AdapterSettings> adapter;
  TokensToAdd tokens;  ///< before anything is trained; beside an adapter their rows are trained with it
  std::string chat_template;  ///< a Jinja file, the name of one of the model's, or "" for its own

  std::optional<double> beta;  ///< the method's own default where not given
  double gamma = 0.5;
  double label_smoothing = 0.0;
  double desirable_weight = 1.0, undesirable_weight = 1.0;
  std::map<std::string, double> class_weights;
  bool balance_classes = false;
  bool per_sequence_loss = false;
  /// Of the routers' load-balancing loss, for models with experts; not given: what the model's config says, which asks
  /// for it by output_router_logits.
  std::optional<double> router_loss_weight;

  int64_t max_length = 1024;
  data::Truncate truncate = data::Truncate::keep_start;
  data::TrainOn train_on = data::TrainOn::completions;
  bool raw = false;
  bool split_turns = false;
  Json template_variables = Json::object();
  double epochs = 1.0;
  int64_t steps = 0;  ///< 0: epochs decide
  int64_t batch_size = 8;
  int64_t micro_tokens = 0;  ///< 0: auto
  double learning_rate = 1e-5;
  ScheduleSettings schedule;
  OptimizerSettings optimizer;
  double max_grad_norm = 1.0;  ///< 0: no clipping
  bool shuffle = true;
  uint64_t seed = 42;
  std::string device = "auto";  ///< see make_backend
  Precision dtype = Precision::automatic;
  /// Trained weights are kept in f32 and rounded for products. false: matrices are bf16 alone, and what an update loses is
  /// rounded up or down at random, so that it is right on average. Not for adapters, which are f32.
  bool master_weights = true;
  RecomputeChoice recompute = RecomputeChoice::automatic;
  double memory_limit = 0.0;  ///< bytes the plan may use; 0: what the machine has available
  bool force_memory = false;   ///< start although the plan does not fit
  fs::path token_cache;       ///< where tokenised data are kept; empty: in the user's cache folder
  int64_t save_every = 100;   ///< 0: at the end alone
  int64_t keep = 2;
  int64_t eval_every = 0;  ///< 0: at the end of each epoch
  std::string keep_best;   ///< "" | loss | reward_accuracy | reward_margin
  std::string save_dtype = "f32";

  const fs::path path_of_model() const { return model_path.empty() ? fs::path(model) : model_path; }
};

/// Parses YAML. `overrides` are `key.path=value` with a YAML value, applied on top in order. Throws
/// Error(usage): an unknown key (with the nearest valid one), a wrong type (key, expected, found, line), a
/// value out of range, a missing key.
TrainConfig parse_train_config(std::string_view yaml, std::string_view where,
                               const std::vector<std::string>& overrides = {});
TrainConfig load_train_config(const fs::path& path, const std::vector<std::string>& overrides = {});

/// The same from JSON (recipes): an object with the keys of the YAML file.
TrainConfig train_config_from_json(const Json& config, std::string_view where);

/// Every key with its value, defaults included, for fettle.json and the model card; parses back to the same
/// config.
OrderedJson to_json(const TrainConfig& config);

/// Throws Error(usage) when values contradict each other; parse_train_config calls it.
void validate(const TrainConfig& config);

}  // namespace fettle::train
