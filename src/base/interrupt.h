#pragma once
// SIGINT and SIGTERM as a flag that long work looks at between steps.

namespace fettle {

/// Installs handlers: the first signal sets the flag, a second one ends the process at once (status 130).
void catch_interrupts();
/// Async-signal-safe and thread-safe.
bool interrupted();
/// Forgets a SIGINT and says whether there was one; for programs at a terminal, where it ends what runs and not the
/// program. A SIGTERM stays.
bool take_sigint();
/// Throws Error(interrupted) when the flag is set.
void throw_if_interrupted();

}  // namespace fettle
