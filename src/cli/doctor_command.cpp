#include <hwy/highway.h>
#include <openssl/crypto.h>
#include <sys/utsname.h>
#include <dnnl.hpp>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "base/file.h"
#include "base/progress.h"
#include "base/threads.h"
#include "cli/command.h"
#include "kernels/measure.h"
#include "tensor/process_memory.h"

namespace fettle::cli {
namespace {

struct DoctorState {
  double seconds = 2.0;
};

/// What a line of /proc/cpuinfo says behind its key; the first processor's.
std::string cpu_line(const std::string& key) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    const size_t colon = line.find(':');
    if (line.compare(0, key.size(), key) == 0 && colon != std::string::npos && colon + 2 <= line.size())
      return line.substr(colon + 2);
  }
  return "";
}

/// Of the sets that kernels are compiled for or that oneDNN uses, those this machine has.
std::vector<std::string> instruction_sets() {
  static constexpr const char* known[] = {"avx2",     "fma",         "f16c",        "avx_vnni", "avx512f",
                                          "avx512bw", "avx512_vnni", "avx512_bf16", "amx_tile", "amx_bf16",
                                          "asimd",    "sve",         "bf16"};
  std::istringstream words(cpu_line("flags") + " " + cpu_line("Features"));
  std::vector<std::string> found;
  for (std::string word; words >> word;)
    if (std::find(std::begin(known), std::end(known), word) != std::end(known)) found.push_back(word);
  return found;
}

/// Names of the NVIDIA devices that the driver lists.
std::vector<std::string> gpus() {
  std::vector<std::string> names;
  std::error_code problem;
  for (const auto& entry : fs::directory_iterator("/proc/driver/nvidia/gpus", problem)) {
    std::ifstream file(entry.path() / "information");
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("Model:")) names.push_back(line.substr(line.find_first_not_of(" \t", 6)));
  }
  return names;
}

OrderedJson libraries() {
  const dnnl_version_t* dnnl = dnnl_version();
  return {{"oneDNN", fmt::format("{}.{}.{}", dnnl->major, dnnl->minor, dnnl->patch)},
          {"Highway", fmt::format("{}.{}.{}", HWY_MAJOR, HWY_MINOR, HWY_PATCH)},
          {"OpenSSL", OpenSSL_version(OPENSSL_VERSION_STRING)}};
}

std::string table(const OrderedJson& report) {
  std::string text;
  const auto row = [&](const std::string& name, const std::string& value) {
    text += fmt::format("{:<20} {}\n", name, value);
  };
  const auto number = [&](const char* key) { return report.at("measured").at(key).get<double>(); };
  row("fettle", report.at("version").get<std::string>() + ", " + report.at("system").get<std::string>());
  row("processor", report.at("processor").get<std::string>());
  row("instruction sets",
      fmt::format("{}", fmt::join(report.at("instruction_sets").get<std::vector<std::string>>(), " ")));
  row("kernels", fmt::format("{}, {} threads", report.at("backend").get<std::string>(),
                             report.at("threads").get<int>()));
  row("products f32", fmt::format("{:.0f} GFLOP/s", number("f32_gflops")));
  row("products bf16", number("bf16_gflops") > 0 ? fmt::format("{:.0f} GFLOP/s", number("bf16_gflops"))
                                                 : "not in this hardware: dtype auto trains in f32");
  row("memory bandwidth",
      fmt::format("{:.1f} GB/s read, {:.1f} GB/s copied", number("read_gbs"), number("copy_gbs")));
  row("memory", fmt::format("{} available", human_bytes(report.at("available_bytes").get<double>())));
  const auto devices = report.at("gpus").get<std::vector<std::string>>();
  row("GPU", devices.empty()
                 ? "none"
                 : fmt::format("{}; this build computes on the processor", fmt::join(devices, ", ")));
  std::string used;
  for (const auto& [name, version] : report.at("libraries").items())
    used += fmt::format("{}{} {}", used.empty() ? "" : ", ", name, version.get<std::string>());
  row("libraries", used);
  row("cache", report.at("cache").get<std::string>());
  text.pop_back();
  return text;
}

void run_doctor(DoctorState& state) {
  const auto backend = make_cpu_backend();
  const MachineSpeed speed = measure_machine(*backend, state.seconds);
  utsname system{};
  uname(&system);
  std::string processor = cpu_line("model name");
  if (processor.empty()) processor = system.machine;
  const OrderedJson report{
      {"version", FETTLE_VERSION},
      {"system", fmt::format("{} {} {}", system.sysname, system.release, system.machine)},
      {"processor", processor},
      {"instruction_sets", instruction_sets()},
      {"backend", backend->name()},
      {"threads", threads()},
      {"available_bytes", available_bytes()},
      {"measured",
       {{"f32_gflops", speed.f32_gflops},
        {"bf16_gflops", speed.bf16_gflops},
        {"read_gbs", speed.read_gbs},
        {"copy_gbs", speed.copy_gbs}}},
      {"gpus", gpus()},
      {"libraries", libraries()},
      {"cache", cache_folder().string()}};
  print_report(report, table(report));
}

}  // namespace

void add_doctor_command(CLI::App& app) {
  auto& command = add_command(app, "doctor", "Say what this machine can do, measured",
                              "  $ fettle doctor\n"
                              "  $ fettle --json doctor\n"
                              "  $ FETTLE_CPU=avx2 fettle doctor   # what a narrower machine would do");
  auto state = std::make_shared<DoctorState>();
  command.add_option("--seconds", state->seconds, "Time to measure for")->check(CLI::Range(0.1, 600.0));
  on_run(command, state, run_doctor);
}

}  // namespace fettle::cli
