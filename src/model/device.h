#pragma once
// Weights into a backend's memory, and back for whoever writes files.
#include "kernels/kernels.h"
#include "model/adapter.h"

namespace fettle {

/// Puts the values of all parameters into the backend's memory, one after the other; the host's copies (mapped files among
/// them) are given up. Where the backend's memory is the host's they stay where they are, mapped files in their place. Throws
/// Error(io) naming a mapped file that changed meanwhile, or when there is not enough memory. Gradients are not moved. What
/// holds views of these values must be moved before.
void move_to(Parameters& parameters, Backend& backend);

/// The values where the host can read them: views when they are there already, valid as long as `parameters`; else copies.
Parameters on_host(const Parameters& parameters, Backend& backend);

/// An adapter as files have it, its parameters as above.
Adapter on_host(const Adapter& adapter, Backend& backend);

}  // namespace fettle
