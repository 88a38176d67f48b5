#pragma once
// What this process holds and what it may still take, as Linux tells it: /proc, resource limits, control
// groups.
#include <cstdint>

#include "base/file.h"

namespace fettle {

/// Bytes this process holds now and at its peak, mapped files included.
int64_t resident_bytes();
int64_t peak_resident_bytes();
/// Those of them that belong to no file: heap, stacks, blocks of Memory.
int64_t anonymous_bytes();

/// Bytes this process may still take: the least of the machine's available memory, what RLIMIT_AS and
/// RLIMIT_DATA leave, and what its control groups leave. Never negative.
int64_t available_bytes();

/// What the control groups of a process leave it, by its /proc/PID/cgroup and the folder where control groups
/// are mounted (versions 1 and 2; every group up to the root counts). INT64_MAX when none has a limit.
int64_t control_group_room(const fs::path& process_groups, const fs::path& mounted);

}  // namespace fettle
