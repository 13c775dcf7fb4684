// The engine in this process as a target: no HTTP, no text; the caller's own loop steps it.
//
// Owns      the streams in flight
// Threads   one: whoever calls Step()
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/engine.h"
#include "perf/driver/target.h"

namespace weir {

class EngineTarget final : public Target {
 public:
  // `engine` was created, not started, and outlives the target.
  explicit EngineTarget(Engine* engine) : engine_(engine) {}

  // Takes prompt_ids. `on_done` runs inside a later Step().
  void Send(TargetRequest request, TimePoint run_start, std::function<void(RequestRecord)> on_done) override;
  std::string name() const override { return "engine"; }

  // One engine step, then whatever ended in it is reported; what `on_done` sends enters the next step.
  void Step();
  // The fillers of a full batch end with the measurement.
  void CancelAll();
  int in_flight() const { return static_cast<int>(running_.size()); }

 private:
  struct Running {
    std::shared_ptr<RequestStream> stream;
    RequestRecord record;
    std::vector<int32_t> tokens = {};
    TimePoint run_start{};
    bool ignore_eos = true;
    std::function<void(RequestRecord)> on_done;
  };
  // True when the final event was read.
  static bool Drain(Running& running);

  Engine* engine_;
  std::vector<Running> running_;
};

}  // namespace weir
