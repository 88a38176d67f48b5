#pragma once
// What a run needs to go on: named tensors and a JSON value in a folder that is swapped as a whole. A kill at
// any moment leaves the old state or the new one; a damaged one is told apart from a good one by its
// checksums.
#include <string>
#include <vector>

#include "base/json.h"
#include "checkpoint/stored_tensor.h"
#include "kernels/kernels.h"

namespace fettle {

struct NamedTensor {
  std::string name;
  Tensor value;  ///< f32, f16, bf16, i32, u8 or i8; contiguous, in the backend's memory
};

/// Writes `folder` (state.safetensors, state.json): beside it first, flushed, then exchanged with what was
/// there. Each tensor is fetched from the backend as it is written. The folder holds nothing else: whatever was in it before is gone. Throws Error(io) on a full disk;
/// the old state stays.
void save_state(const fs::path& folder, const std::vector<NamedTensor>& tensors, const Json& state, Backend& backend);

/// Whether a state stands there (it may still be damaged).
bool has_state(const fs::path& folder);

/// A state that was read back; tensors are views on the mapped file, alive as long as this.
class SavedState {
 public:
  /// Throws Error naming the file when one is missing, cut short, changed or of a newer format.
  explicit SavedState(const fs::path& folder);
  const Json& json() const { return json_; }
  const std::vector<StoredTensor>& tensors() const { return tensors_.all(); }
  const StoredTensor* find(std::string_view name) const { return tensors_.find(name); }
  /// Copies the saved bytes into the backend's memory; throws Error when the tensor is missing or has another dtype or size.
  void restore(std::string_view name, const Tensor& destination, Backend& backend) const;

 private:
  std::string where_;
  Json json_;
  TensorSet tensors_;
};

}  // namespace fettle
