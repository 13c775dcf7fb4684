// A load test in progress: finds the server, warms it up, plays the stages, joins what the server knew.
//
// Requires  the spec outlives it
// Errors    as RunLoadTest
// Threads   one; requests run on an io thread of their own
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "perf/driver/http_target.h"
#include "perf/driver/load_loop.h"
#include "perf/driver/load_spec.h"
#include "perf/driver/server_side.h"
#include "perf/driver/server_watch.h"
#include "perf/recorder/machine_activity.h"
#include "perf/recorder/record_file.h"
#include "perf/statistics/load_row.h"

namespace weir {

// INVALID_ARGUMENT naming the flag that contradicts itself or another one.
Status CheckLoadSpec(const LoadSpec& spec);
// parameters{} of the document.
Json LoadParameters(const LoadSpec& spec, const std::string& model);

class LoadRun {
 public:
  LoadRun(const LoadSpec& spec, Url url, const ProgressFunction& progress);

  Result<Json> Run();

  // In parts, for a measurement in turns with something else: one Begin, the stages of the spec one by one, one End.
  Status Begin();
  void PlayStage(int index);
  Result<Json> End();

 private:
  bool stopped() const { return spec_.stop != nullptr && spec_.stop->load(std::memory_order_relaxed); }

  LoadLoopOptions LoopOptions() const;
  HttpTargetOptions TargetOptions() const;
  LoadStage OwnStage() const;  // what the flags describe when no stages are given
  Status MakePrompts();
  void WarmUp();
  Status Stages();
  Status RateSweep();
  Status Search();
  // Plays one stage; its row is rows_.back().
  void Play(const LoadStage& stage);
  void Watch(LoadLoop& loop, const LoadStage& stage, ServerWatch* watch);
  void WaitUntilIdle();
  void JoinLedgers(TimePoint stage_start, std::vector<RequestRecord>* records);
  void DescribeSetting();
  void Describe(Json requests_file);

  const LoadSpec& spec_;
  Url url_;
  const ProgressFunction& progress_;
  std::string base_path_;
  ServerSide server_;
  std::string model_, run_id_;
  Dataset dataset_;
  std::optional<RecordFile> file_;
  ExpectedCache cache_;
  Json document_;
  Json search_;
  std::vector<Json> rows_;
  Validity validity_;
  std::vector<RequestRecord> records_;  // of all stages, in the run's time
  std::optional<TimePoint> run_start_;
  std::string stage_name_;  // for the progress line; empty with one stage
  int64_t next_seq_ = 0;
};

}  // namespace weir
