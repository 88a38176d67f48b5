// Whole runs against TRL's: losses and gradient norms of every step (tests/golden/train/make_trl.py).
#include <cmath>

#include "base/error.h"
#include "train/test_model.h"

namespace fettle::train {
namespace {

const fs::path golden = fs::path(FETTLE_SOURCE_DIR) / "tests/golden/train";

class Trl : public TrainTest {
 protected:
  TrainResult run_case(const std::string& name) const {
    const size_t lora = name.find("_lora");
    Json json{{"method", name.substr(0, lora)},
              {"model", (golden / "model").string()},
              {"data", (golden / "rows.jsonl").string()},
              {"out", (root() / name).string()},
              {"batch_size", 4},
              {"steps", 8},
              {"max_length", 96},
              {"learning_rate", 3e-3},
              {"shuffle", false},
              {"dtype", "f32"}};
    if (lora != std::string::npos) json["adapter"] = {{"init", (golden / "adapter").string()}};
    return run(json);
  }
};

TEST_F(Trl, LossesAndGradientNormsOfEveryStep) {
  const Json expected = read_json(golden / "expected.json");
  ASSERT_EQ(expected.size(), 7U);
  for (const auto& [name, figures] : expected.items()) {
    const TrainResult result = run_case(name);
    ASSERT_EQ(result.steps.size(), figures.at("loss").size());
    for (size_t i = 0; i < result.steps.size(); ++i) {
      const double allowed = i == 0 ? 1e-4 : 1e-3;
      const double loss = figures.at("loss")[i], norm = figures.at("grad_norm")[i];
      EXPECT_NEAR(result.steps[i].loss, loss, allowed * std::abs(loss)) << name << ", step " << i + 1;
      EXPECT_NEAR(result.steps[i].grad_norm, norm, allowed * norm) << name << ", step " << i + 1;
      if (!figures.contains("reward_chosen")) continue;
      const double reward = figures.at("reward_chosen")[i];
      EXPECT_NEAR(result.steps[i].preference->reward_chosen, reward, 1e-3 * std::abs(reward) + 1e-5) << name;
    }
  }
}

}  // namespace
}  // namespace fettle::train
