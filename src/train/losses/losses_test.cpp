// Every loss against its published value (logπ = (-40, -50), reference = (-42, -48), 20 and 25 tokens, β =
// 0.1, so the log-ratios are 2 and -2) and every gradient against central differences.
#include "train/losses/loss.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "base/random.h"

namespace fettle::train {
namespace {

struct Row {
  std::vector<float> chosen, rejected, prompt, weights;
  double reference_chosen = -42.0, reference_rejected = -48.0;
  bool desirable = true;

  LossRow view() const {
    return {chosen, rejected, prompt, weights, reference_chosen, reference_rejected, desirable, 1.0};
  }
};

Row golden_row() {
  return {std::vector<float>(20, -2.0F), std::vector<float>(25, -2.0F), {}, {}};
}

double value(std::string_view name, Row row, LossOptions options, StepTotals step = {.rows = 1}) {
  std::vector<float> a(row.chosen.size()), b(row.rejected.size()), p(row.prompt.size());
  return method_from_name(name).loss(row.view(), step, options, {a, b, p}).loss;
}

TEST(Losses, PublishedValues) {
  const LossOptions options{.beta = 0.1, .label_smoothing = 0.1};
  EXPECT_NEAR(value("dpo", golden_row(), options), 0.513015, 1e-6);
  EXPECT_NEAR(value("cdpo", golden_row(), options), 0.553015, 1e-6);
  EXPECT_NEAR(value("ipo", golden_row(), options), 23.232400, 1e-6);
  EXPECT_NEAR(value("apo_zero", golden_row(), options), 0.900332, 1e-6);
  EXPECT_NEAR(value("apo_down", golden_row(), options), 0.951146, 1e-6);
}

TEST(Losses, SimpoPublishedValue) {
  // Means -2 and -2.5: the margin is 0.5.
  Row row = golden_row();
  row.rejected.assign(20, -2.5F);
  EXPECT_NEAR(value("simpo", row, {.beta = 2.0, .gamma = 0.5}), std::log1p(std::exp(-0.5)), 1e-9);
  // logπ = (-40, -50) over 20 and 25 tokens: both means are -2.
  EXPECT_NEAR(value("simpo", golden_row(), {.beta = 2.0, .gamma = 0.5}), 0.974077, 1e-6);
}

TEST(Losses, OrpoPublishedValue) {
  Row row = golden_row();
  row.rejected.assign(25, -2.5F);
  row.prompt.assign(10, -1.0F);
  const double nll = (10.0 + 40.0) / 30.0;
  EXPECT_NEAR(value("orpo", row, {.beta = 0.1}, {.rows = 1, .chosen_tokens = 30}) - nll, 0.045193, 1e-6);
}

TEST(Losses, OrpoCertainAnswerIsFinite) {
  Row row = golden_row();
  row.chosen.assign(1, 0.0F);
  EXPECT_TRUE(std::isfinite(value("orpo", row, {.beta = 0.1}, {.rows = 1, .chosen_tokens = 1})));
}

TEST(Losses, KtoAgainstFormula) {
  const auto sigmoid = [](double x) { return 1.0 / (1.0 + std::exp(-x)); };
  Row row = golden_row();
  const LossOptions options{.beta = 0.1, .desirable_weight = 1.0, .undesirable_weight = 1.5};
  EXPECT_NEAR(value("kto", row, options, {.rows = 2, .kl = 0.5}), 0.5 * (1.0 - sigmoid(0.1 * 1.5)), 1e-9);
  row.desirable = false;
  EXPECT_NEAR(value("kto", row, options, {.rows = 2, .kl = 0.5}), 0.75 * (1.0 - sigmoid(0.1 * -1.5)), 1e-9);
}

TEST(Losses, SupervisedNormalizers) {
  const Row row{{-1.0F, -2.0F, -4.0F}, {}, {}, {1.0F, 0.5F, 0.25F}};
  const StepTotals step{.rows = 1, .supervised_tokens = 10, .token_weight = 5.0};
  EXPECT_NEAR(value("sft", row, {}, step), (1.0 + 1.0 + 1.0) / 10.0, 1e-9);
  EXPECT_NEAR(value("pretrain", row, {}, step), (1.0 + 1.0 + 1.0) / 10.0, 1e-9);
  EXPECT_NEAR(value("weighted-sft", row, {}, step), 3.0 / 5.0, 1e-9);
}

TEST(Losses, LargeMarginsStayFinite) {
  Row row = golden_row();
  for (const double reference : {-1e5, 1e5}) {
    row.reference_chosen = reference;
    for (const Method* method : methods()) {
      if (method->rows != RowKind::pairs) continue;
      EXPECT_TRUE(std::isfinite(value(method->name, row, {.beta = 0.1}, {.rows = 1, .chosen_tokens = 20})))
          << method->name;
    }
  }
}

Row random_row(Random& random) {
  Row row;
  for (auto* tokens : {&row.chosen, &row.rejected, &row.prompt, &row.weights}) {
    tokens->resize(3 + random.below(4));
    for (float& value : *tokens) value = static_cast<float>(-3.0 * random.uniform() - 0.1);
  }
  row.weights.resize(row.chosen.size());
  for (float& weight : row.weights) weight = std::abs(weight);
  row.reference_chosen = -6.0 - 4.0 * random.uniform();
  row.reference_rejected = -6.0 - 4.0 * random.uniform();
  row.desirable = random.below(2) == 0;
  return row;
}

TEST(Losses, GradientsAgainstCentralDifferences) {
  Random random(3);
  const StepTotals step{
      .rows = 3, .supervised_tokens = 17, .token_weight = 9.5, .chosen_tokens = 23, .kl = 0.3};
  for (const Method* method : methods()) {
    const LossOptions options{.beta = method->beta > 0.0 ? 3.0 * method->beta : 0.1,
                              .gamma = 0.7,
                              .label_smoothing = 0.2,
                              .desirable_weight = 1.2,
                              .undesirable_weight = 0.8};
    for (int trial = 0; trial < 20; ++trial) {
      Row row = random_row(random);
      std::vector<float> a(row.chosen.size(), 9.0F), b(row.rejected.size(), 9.0F), p(row.prompt.size(), 9.0F);
      method->loss(row.view(), step, options, {a, b, p});
      const auto check = [&](std::vector<float>& logp, const std::vector<float>& gradient, size_t t) {
        const float old = logp[t];
        const float up = old + 1e-2F, down = old - 1e-2F;
        logp[t] = up;
        const double above = value(method->name, row, options, step);
        logp[t] = down;
        const double below = value(method->name, row, options, step);
        logp[t] = old;
        EXPECT_NEAR(gradient[t], (above - below) / (static_cast<double>(up) - down), 2e-5)
            << method->name << " token " << t;
      };
      for (size_t t = 0; t < row.chosen.size(); ++t) check(row.chosen, a, t);
      if (method->rows == RowKind::pairs)
        for (size_t t = 0; t < row.rejected.size(); ++t) check(row.rejected, b, t);
      if (method->prompt_labels)
        for (size_t t = 0; t < row.prompt.size(); ++t) check(row.prompt, p, t);
    }
  }
}

TEST(Losses, RewardsAreBetaTimesLogRatio) {
  const Row row = golden_row();
  for (const char* name : {"dpo", "cdpo", "ipo", "apo_zero", "apo_down"}) {
    std::vector<float> a(20), b(25);
    const RowLoss loss = method_from_name(name).loss(row.view(), {.rows = 4}, {.beta = 0.1}, {a, b, {}});
    EXPECT_NEAR(loss.reward_chosen, 0.2, 1e-9) << name;
    EXPECT_NEAR(loss.reward_rejected, -0.2, 1e-9) << name;
  }
}

TEST(Losses, UnknownMethodNamesTheNearest) {
  try {
    method_from_name("orpoo");
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), Error::Kind::usage);
    EXPECT_NE(std::string(error.what()).find("did you mean 'orpo'"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace fettle::train
