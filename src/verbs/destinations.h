#pragma once
// Where one call writes, and what must not go to one place.
#include "base/keys.h"

namespace fettle::verbs {

/// Throws Error(usage) naming both keys where two outputs would go to standard output or into one file.
void check_destinations(const std::vector<KeyInfo>& keys, const KeyValues& values);
/// One of the outputs takes standard output, so that nothing else may stand there.
bool take_standard_output(const std::vector<KeyInfo>& keys, const KeyValues& values);

}  // namespace fettle::verbs
