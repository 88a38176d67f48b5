#include "tensor/process_memory.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

namespace fettle {
namespace {

constexpr int64_t unlimited = std::numeric_limits<int64_t>::max();

int64_t proc_value(const char* file, const char* key) {
  std::FILE* stream = std::fopen(file, "r");
  if (stream == nullptr) return 0;
  char line[256];
  long long kilobytes = 0;
  while (std::fgets(line, sizeof line, stream) != nullptr) {
    if (std::strncmp(line, key, std::strlen(key)) == 0) {
      std::sscanf(line + std::strlen(key), " %lld", &kilobytes);
      break;
    }
  }
  std::fclose(stream);
  return kilobytes * 1024;
}

int64_t room_under(int resource, int64_t used) {
  rlimit limit{};
  if (::getrlimit(static_cast<__rlimit_resource_t>(resource), &limit) != 0 ||
      limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > static_cast<rlim_t>(unlimited)) {
    return unlimited;
  }
  return std::max<int64_t>(0, static_cast<int64_t>(limit.rlim_cur) - used);
}

/// A file that holds one number; nothing for "max" and where there is no such file.
std::optional<int64_t> number_in(const fs::path& file) {
  std::ifstream stream(file);
  int64_t value = 0;
  if (stream >> value) return value;
  return std::nullopt;
}

/// The number behind `key` in a file of "key number" lines.
int64_t entry_of(const fs::path& file, const std::string& key) {
  std::ifstream stream(file);
  std::string name;
  int64_t value = 0;
  while (stream >> name >> value) {
    if (name == key) return value;
  }
  return 0;
}

struct GroupFiles {
  const char *limit, *usage, *reclaimable;
};

/// The least that `group` or a group above it leaves. Pages of files that nobody used lately are given up on
/// demand.
int64_t room_of(const fs::path& mounted, fs::path group, const GroupFiles& files) {
  int64_t room = unlimited;
  for (;;) {
    const fs::path folder = mounted / group.relative_path();
    const auto limit = number_in(folder / files.limit), used = number_in(folder / files.usage);
    if (limit && used) {
      room = std::min(
          room, std::max<int64_t>(0, *limit - *used + entry_of(folder / "memory.stat", files.reclaimable)));
    }
    if (group.empty() || group == group.root_path()) return room;
    group = group.parent_path();
  }
}

}  // namespace

int64_t resident_bytes() {
  return proc_value("/proc/self/status", "VmRSS:");
}
int64_t peak_resident_bytes() {
  return proc_value("/proc/self/status", "VmHWM:");
}
int64_t anonymous_bytes() {
  return proc_value("/proc/self/status", "RssAnon:");
}

int64_t control_group_room(const fs::path& process_groups, const fs::path& mounted) {
  constexpr GroupFiles version1{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"};
  constexpr GroupFiles version2{"memory.max", "memory.current", "inactive_file"};
  int64_t room = unlimited;
  std::ifstream groups(process_groups);
  for (std::string line; std::getline(groups, line);) {  // "0::/path", or "4:memory,cpu:/path"
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    const fs::path group = line.substr(second + 1);
    if (controllers == ",,") room = std::min(room, room_of(mounted, group, version2));
    if (controllers.find(",memory,") != std::string::npos)
      room = std::min(room, room_of(mounted / "memory", group, version1));
  }
  return room;
}

int64_t available_bytes() {
  int64_t bytes = proc_value("/proc/meminfo", "MemAvailable:");
  bytes = std::min(bytes, room_under(RLIMIT_AS, proc_value("/proc/self/status", "VmSize:")));
  bytes = std::min(bytes, room_under(RLIMIT_DATA, proc_value("/proc/self/status", "VmData:")));
  return std::min(bytes, control_group_room("/proc/self/cgroup", "/sys/fs/cgroup"));
}

}  // namespace fettle
