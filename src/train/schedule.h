#pragma once
// Learning-rate schedules, with the formulas of transformers' optimization.py.
#include <cstdint>
#include <string_view>

#include "train/config.h"

namespace fettle::train {

/// Steps that `amount` means: below 1 a share of `steps`, rounded up; from 1 on a count.
int64_t schedule_steps(double amount, int64_t steps);

/// What the learning rate is multiplied by at optimiser step `step` (from 0) of `steps`. With a warm-up the
/// first step has factor 0, as there. linear: to `final` at the end; cosine: half a wave to `final`; wsd:
/// flat, then half a cosine to `final`; inverse_sqrt: by the warm-up's length (10000 without one).
double schedule_factor(const ScheduleSettings& schedule, int64_t step, int64_t steps);

/// Throws Error(usage) when the name is none of these or the amounts make no sense.
void validate(const ScheduleSettings& schedule);

}  // namespace fettle::train
