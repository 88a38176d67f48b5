#pragma once
// The subset of Python's pickle (protocols 2 to 5, PEP 307 and 3154) that torch.save writes for a dictionary of tensors.
// Nothing is executed: a pickle is read as data, and whatever would call anything but torch's own constructors of
// tensors is refused by name.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fettle {

/// A tensor as a pickle describes it: a window on a storage that lies elsewhere in the file.
struct PickledTensor {
  std::string name;
  std::string storage;       ///< its key
  std::string storage_type;  ///< "FloatStorage"
  int64_t storage_elements = 0;
  int64_t offset = 0;        ///< in elements
  std::vector<int64_t> shape, strides;
};

/// A pickle's value, as far as a file of tensors needs it.
struct PickledFile {
  std::vector<PickledTensor> tensors;  ///< of a dictionary from names to tensors
  std::vector<std::string> texts;      ///< of a list of texts
  int64_t integer = 0;
  bool little_endian = true;           ///< of a dictionary that says so
  size_t bytes = 0;                    ///< of the pickle, up to and with its end
};

enum class PickleOf : uint8_t { tensors, texts, integer, system };

/// Reads the pickle that `bytes` begins with. Throws Error(where) for broken ones, for values of another kind than asked
/// for, and for calls. Time and memory grow with the pickle's length alone.
PickledFile parse_pickle(std::span<const std::byte> bytes, PickleOf kind, std::string_view where);

}  // namespace fettle
