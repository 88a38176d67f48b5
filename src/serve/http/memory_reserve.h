#pragma once
// Memory that is set aside for the moment when there is no other. JSON values, among others, need some while they are
// destroyed, and end the process when they find none; with the reserve what runs can be refused and cleared away.
#include <cstddef>
#include <cstdint>

namespace fettle::serve {

/// Sets the reserve aside (64 MB of address space, untouched) and gives it up when `operator new` finds no memory. Once for the
/// process; later calls do nothing.
void set_memory_aside();

/// Whether the reserve is there; one that was given up is set aside again if that can be done. Until then nothing new should
/// be begun. Safe from any thread.
bool memory_is_aside();

/// Whether a JSON text of so many bytes can be read: the reserve is there, and what the process may still take holds its values.
bool has_room_for_json(uint64_t bytes);

}  // namespace fettle::serve
