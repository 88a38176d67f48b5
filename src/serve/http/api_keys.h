#pragma once
// The keys of which a client must send one, as people write them down.
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"

namespace fettle::serve {

/// One key a line, or between commas where `commas`; blanks around them do not count, empty lines and lines that begin with #
/// are skipped. Throws Error(input) naming `where` when no key is left: whoever gives a place for keys does not want a server
/// that is open to everybody.
std::vector<std::string> read_keys(std::string_view text, const std::string& where, bool commas);

/// The keys of a file. Throws Error.
std::vector<std::string> read_keys_file(const fs::path& path);

/// What a person should know of a file that holds a secret: empty, or that others on this machine can read it.
std::string secret_file_warning(const fs::path& path);

}  // namespace fettle::serve
