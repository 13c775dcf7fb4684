#include "perf/recorder/environment.h"

#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

namespace weir {
namespace {

std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// "key   : value" of /proc/cpuinfo, "KEY=value" of os-release.
std::string ValueOf(const std::string& line, char separator) {
  const size_t at = line.find(separator);
  if (at == std::string::npos) return "";
  const size_t begin = line.find_first_not_of(" \t\"", at + 1);
  if (begin == std::string::npos) return "";
  const size_t end = line.find_last_not_of(" \t\"\r");
  return line.substr(begin, end + 1 - begin);
}

void ReadCpuInfo(Environment* out) {
  std::ifstream file("/proc/cpuinfo");
  std::set<std::pair<std::string, std::string>> cores;
  std::string line, package;
  bool hypervisor = false;
  while (std::getline(file, line)) {
    if (line.starts_with("model name") && out->cpu_model.empty()) out->cpu_model = ValueOf(line, ':');
    if (line.starts_with("physical id")) package = ValueOf(line, ':');
    if (line.starts_with("core id")) cores.insert({package, ValueOf(line, ':')});
    if (line.starts_with("flags") && line.find(" hypervisor") != std::string::npos) hypervisor = true;
  }
  out->physical_cores = static_cast<int>(cores.size());
  if (std::filesystem::exists("/.dockerenv")) {
    out->virtualization = "container";
  } else if (hypervisor) {
    out->virtualization = "virtual machine";
  } else {
    out->virtualization = "none seen";
  }
}

std::string OsName() {
  std::ifstream file("/etc/os-release");
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with("PRETTY_NAME=")) return ValueOf(line, '=');
  }
  return "";
}

Json NumberOrNull(const std::optional<double>& number) { return number ? Json(*number) : Json(nullptr); }
Json TextOrNull(const std::string& text) { return text.empty() ? Json(nullptr) : Json(text); }
template <typename T>
Json PositiveOrNull(T number) {
  return number > 0 ? Json(number) : Json(nullptr);
}

Json ToJson(const MachineLimits& limits) {
  Json rates = Json::array();
  for (const auto& [bytes, rate] : limits.read_rates)
    rates.push_back({{"bytes", bytes}, {"bytes_per_s", rate}});
  return {{"read_bandwidth_bytes_per_s", PositiveOrNull(limits.read_bandwidth_bytes_per_s)},
          {"read_rates", std::move(rates)},
          {"int8_mac_per_s", PositiveOrNull(limits.int8_mac_per_s)},
          {"bf16_mac_per_s", PositiveOrNull(limits.bf16_mac_per_s)},
          {"fp32_mac_per_s", PositiveOrNull(limits.fp32_mac_per_s)},
          {"tile_mac_per_s", PositiveOrNull(limits.tile_mac_per_s)}};
}

}  // namespace

void MachineLimits::Improve(const MachineLimits& other) {
  for (double MachineLimits::*limit :
       {&MachineLimits::read_bandwidth_bytes_per_s, &MachineLimits::int8_mac_per_s,
        &MachineLimits::bf16_mac_per_s, &MachineLimits::fp32_mac_per_s, &MachineLimits::tile_mac_per_s})
    this->*limit = std::max(this->*limit, other.*limit);
  for (const auto& [bytes, rate] : other.read_rates) read_rates[bytes] = std::max(read_rates[bytes], rate);
}

Environment CaptureEnvironment(std::string isa, int threads) {
  Environment out;
  utsname system{};
  if (uname(&system) == 0) out.kernel = std::string(system.sysname) + " " + system.release;
  out.os = OsName();
  out.isa = std::move(isa);
  out.threads = threads;
  ReadCpuInfo(&out);
  out.governor = FirstLine("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
  out.instance = FirstLine("/sys/class/dmi/id/product_name");
  std::istringstream load(FirstLine("/proc/loadavg"));
  if (double average = 0; load >> average) out.load_average = average;
  out.logical_cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  out.memory_bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  return out;
}

CpuTime ReadCpuTime() {
  // cpu user nice system idle iowait irq softirq steal guest guest_nice; guests are inside user and nice.
  std::istringstream fields(FirstLine("/proc/stat"));
  std::string name;
  fields >> name;
  CpuTime out;
  double ticks = 0;
  for (int i = 0; i < 8 && fields >> ticks; ++i) {
    out.total += ticks;
    if (i == 7) out.stolen = ticks;
  }
  return out;
}

std::optional<double> StolenRatio(const CpuTime& before, const CpuTime& after) {
  if (after.total <= before.total) return std::nullopt;
  return (after.stolen - before.stolen) / (after.total - before.total);
}

std::optional<double> HugePageRatio() {
  std::ifstream file("/proc/self/smaps_rollup");
  double anonymous = 0, huge = 0;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string key;
    double kilobytes = 0;
    words >> key >> kilobytes;
    if (key == "Anonymous:") anonymous = kilobytes;
    if (key == "AnonHugePages:") huge = kilobytes;
  }
  if (anonymous <= 0) return std::nullopt;
  return huge / anonymous;
}

Json ToJson(const Environment& environment) {
  Json json;
  json["os"] = TextOrNull(environment.os);
  json["kernel"] = TextOrNull(environment.kernel);
  json["cpu_model"] = TextOrNull(environment.cpu_model);
  json["isa"] = TextOrNull(environment.isa);
  json["physical_cores"] = PositiveOrNull(environment.physical_cores);
  json["logical_cores"] = PositiveOrNull(environment.logical_cores);
  json["threads"] = PositiveOrNull(environment.threads);
  json["memory_bytes"] = PositiveOrNull(environment.memory_bytes);
  json["virtualization"] = TextOrNull(environment.virtualization);
  json["governor"] = TextOrNull(environment.governor);
  json["instance"] = TextOrNull(environment.instance);
  json["load_average"] = NumberOrNull(environment.load_average);
  json["huge_page_ratio"] = NumberOrNull(environment.huge_page_ratio);
  json["stolen_ratio"] = NumberOrNull(environment.stolen_ratio);
  json["gpus"] = Json::array();
  Json limits = nullptr;
  if (environment.probed_before) {
    MachineLimits best = *environment.probed_before;
    if (environment.probed_after) best.Improve(*environment.probed_after);
    limits = ToJson(best);
    limits["probed_before"] = ToJson(*environment.probed_before);
    limits["probed_after"] = environment.probed_after ? ToJson(*environment.probed_after) : Json(nullptr);
  }
  json["limits"] = std::move(limits);
  return json;
}

}  // namespace weir
