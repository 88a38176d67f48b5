// The input is a saved state: state.json, a zero byte, state.safetensors. The first byte says whether the checksums are set right, so
// that what lies behind them is read too.
#include "base/hash.h"
#include "base/log.h"
#include "train/run_state.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  static const fettle::TemporaryFolder folder;
  fettle::set_log_level(fettle::LogLevel::silent);
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  const size_t zero = std::min(bytes.find('\0'), bytes.size());
  const fettle::fs::path state = folder.path() / "state" / "step-00000001";
  fettle::fs::create_directories(state);
  fettle::write_file(state / "state.safetensors", bytes.substr(std::min(zero + 1, bytes.size())));
  std::string json(bytes.substr(0, zero));
  if (data[0] % 2 == 0) {
    json = fettle::dump_json(fettle::Json{{"format", 1},
                                          {"tensors_hash", fettle::hash_path(state / "state.safetensors")},
                                          {"state_hash", fettle::hash_hex(json)},
                                          {"state", json}});
  }
  fettle::write_file(state / "state.json", json);
  const fettle::train::RunStates states(folder.path(), 2);
  if (states.newest()) {
    const fettle::SavedState saved(state);
    for (const auto& tensor : saved.tensors()) FETTLE_CHECK(saved.find(tensor.name) != nullptr);
  }
  return 0;
}
