// The flags of `weir serve`, and what they mean for engine and server.
//
// Errors    INVALID_ARGUMENT naming the flag
#pragma once

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
  LogLevel log_level = LogLevel::kInfo;
  Duration drain_timeout = std::chrono::seconds(30);
  bool exits_with_parent = false;  // however the parent ends, so that a killed study leaves no server behind
};

// Empty: --help was asked for and printed.
Result<std::optional<ServeSpec>> ReadServeFlags(const std::vector<std::string>& arguments);
// The switches that rebuild the reference study's server, as they were given; empty in normal operation.
std::string BrokenModeSwitches(const ServeSpec& spec);

}  // namespace weir
