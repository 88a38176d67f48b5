#pragma once
// The one place where a device's name becomes a backend.
#include <memory>
#include <string_view>

#include "kernels/kernels.h"

namespace fettle {

/// `auto` (the fastest there is) and `cpu`. `reference`, for tests: the plain loops on a device whose memory the host cannot
/// touch, so that whoever tries is found out. `reference:cpu` is the same with the processor's own kernels. Throws
/// Error(usage) naming what there is when the name is none of these, or of a device that this build knows nothing of.
std::unique_ptr<Backend> make_backend(std::string_view device);

/// For help texts.
inline constexpr std::string_view device_names = "auto, cpu or cuda:N";

/// `inner` on memory that the host cannot touch.
std::unique_ptr<Backend> make_guarded_backend(std::unique_ptr<Backend> inner);

}  // namespace fettle
