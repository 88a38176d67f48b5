#pragma once
// Inputs that a verb reads twice: what comes through a pipe or a device is copied to the disk first.
#include <string>
#include <vector>

#include "data/passes/pass.h"

namespace fettle::data {

class SpooledInputs {
 public:
  /// Copies "-", pipes and devices as they are into the system's temporary folder, until this is destroyed.
  explicit SpooledInputs(const std::vector<std::string>& inputs);
  const std::vector<std::string>& paths() const { return paths_; }
  /// The same files with these inputs, which must be the same at both readings.
  PassFiles instead(const PassFiles& files) const;

 private:
  TemporaryFolder folder_;
  std::vector<std::string> paths_;
};

}  // namespace fettle::data
