#include "train/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "base/error.h"

namespace fettle::train {
namespace {

double half_cosine(double progress) {
  return 0.5 * (1.0 + std::cos(std::numbers::pi * progress));
}

struct Phase {
  int64_t step, steps, warmup;
  double share_after_warmup() const {
    return static_cast<double>(step - warmup) / static_cast<double>(std::max<int64_t>(1, steps - warmup));
  }
};

double constant(const ScheduleSettings&, const Phase&) {
  return 1.0;
}

double linear(const ScheduleSettings& schedule, const Phase& phase) {
  return schedule.final + (1.0 - schedule.final) * std::max(0.0, 1.0 - phase.share_after_warmup());
}

double cosine(const ScheduleSettings& schedule, const Phase& phase) {
  return std::max(0.0, schedule.final + (1.0 - schedule.final) * half_cosine(phase.share_after_warmup()));
}

double wsd(const ScheduleSettings& schedule, const Phase& phase) {
  const int64_t decay = schedule_steps(schedule.decay, phase.steps);
  const int64_t begin = std::max(phase.warmup, phase.steps - decay);
  if (phase.step < begin) return 1.0;
  if (phase.step >= begin + decay) return schedule.final;
  const double progress =
      static_cast<double>(phase.step - begin) / static_cast<double>(std::max<int64_t>(1, decay));
  return schedule.final + (1.0 - schedule.final) * half_cosine(progress);
}

double inverse_sqrt(const ScheduleSettings&, const Phase& phase) {
  const double timescale = phase.warmup > 0 ? static_cast<double>(phase.warmup) : 10000.0;
  const double shift = timescale - static_cast<double>(phase.warmup);
  return 1.0 / std::sqrt((static_cast<double>(phase.step) + shift) / timescale);
}

struct Named {
  std::string_view name;
  double (*factor)(const ScheduleSettings&, const Phase&);
};
constexpr Named kSchedules[] = {{"constant", constant},
                                {"linear", linear},
                                {"cosine", cosine},
                                {"wsd", wsd},
                                {"inverse_sqrt", inverse_sqrt}};

const Named& find(std::string_view name) {
  std::vector<std::string> names;
  for (const Named& schedule : kSchedules) {
    if (schedule.name == name) return schedule;
    names.emplace_back(schedule.name);
  }
  const std::string near = nearest_name(name, names);
  fail_usage("schedule.name: no schedule is called '{}'{}; schedules are {}", name,
             near.empty() ? "" : fmt::format("; did you mean '{}'?", near), fmt::join(names, ", "));
}

}  // namespace

int64_t schedule_steps(double amount, int64_t steps) {
  return static_cast<int64_t>(amount >= 1.0 ? amount : std::ceil(static_cast<double>(steps) * amount));
}

double schedule_factor(const ScheduleSettings& schedule, int64_t step, int64_t steps) {
  const Phase phase{step, steps, schedule_steps(schedule.warmup, steps)};
  if (step < phase.warmup) {
    const double progress = static_cast<double>(step) / static_cast<double>(phase.warmup);
    // The published warm-up of wsd starts from the final factor, that of the others from 0.
    return schedule.name == "wsd" ? schedule.final + (1.0 - schedule.final) * progress : progress;
  }
  return find(schedule.name).factor(schedule, phase);
}

void validate(const ScheduleSettings& schedule) {
  find(schedule.name);
  if (!(schedule.warmup >= 0.0))
    fail_usage("schedule.warmup: expected a share or a number of steps, got {}", schedule.warmup);
  if (!(schedule.decay >= 0.0))
    fail_usage("schedule.decay: expected a share or a number of steps, got {}", schedule.decay);
  if (!(schedule.final >= 0.0 && schedule.final <= 1.0))
    fail_usage("schedule.final: expected a factor from 0 to 1, got {}", schedule.final);
}

}  // namespace fettle::train
