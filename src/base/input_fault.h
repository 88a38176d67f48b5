#pragma once
// For loops that pass over what is broken in their input and go on.
#include "base/error.h"

namespace fettle {

/// In a handler that makes a rejected row, page or file of an error: rethrows the error unless it is the input's. A disk that
/// fails, a full one, a signal or a wrong call is no row's fault. (Nor is a lack of memory, which is no Error.)
inline void rethrow_unless_of_input(const Error& error) {
  if (error.kind() != Error::Kind::input) throw;
}

}  // namespace fettle
