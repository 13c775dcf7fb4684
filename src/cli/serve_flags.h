// The options of `weir serve`, from flags, environment and file, and what they mean for engine and server.
//
// Errors    INVALID_ARGUMENT naming the flag; as cli/api_keys_file.h
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "engine/engine.h"
#include "server/server_context.h"

namespace weir {

struct ServeSpec {
  EngineOptions engine;
  ServerOptions server;
  std::string api_keys_file{};  // empty: none
  std::string tls_cert{}, tls_key{};
  LogLevel log_level = LogLevel::kInfo;
  Duration drain_timeout = std::chrono::seconds(30);
  Duration drain_delay{};
  std::map<std::string, std::string> values{};  // every option as printed, to see what a reload cannot change
  bool exits_with_parent = false;  // however the parent ends, so that a killed study leaves no server behind
};

// The keys of file and environment, as at the start; null: none is asked for.
Result<std::shared_ptr<const KeyRing>> ReadKeysOf(const ServeSpec& spec);
// Empty: --help or --print-config was asked for and printed.
Result<std::optional<ServeSpec>> ReadServeFlags(const std::vector<std::string>& arguments);
// The same flags read once more, for a reload: file and environment may say something else by now. The model is not looked for.
Result<ServeSpec> RereadServeFlags(const std::vector<std::string>& arguments);
// Whether --config would accept that file; the environment has no say.
Status CheckServeConfig(const std::string& path);
// The switches that rebuild the reference study's server or plant a fault, as they were given; empty in normal operation.
std::string BrokenModeSwitches(const ServeSpec& spec);

}  // namespace weir
