#include "kernels/backends.h"

#include "base/error.h"

namespace fettle {

std::unique_ptr<Backend> make_backend(std::string_view device) {
  if (device == "auto" || device == "cpu") return make_cpu_backend();
  if (device == "reference") return make_guarded_backend(make_reference_backend());
  if (device == "reference:cpu") return make_guarded_backend(make_cpu_backend());
  if (device == "cuda" || device.starts_with("cuda:"))
    fail_usage("device: '{}' was asked for, and this build has no CUDA backend; use auto or cpu", device);
  fail_usage("device: there is no '{}'; devices are {}", device, device_names);
}

}  // namespace fettle
