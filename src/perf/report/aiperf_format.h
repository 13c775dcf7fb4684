// The summary that AIPerf exports of a run (profile_export_aiperf.json, schema 1.x).
#pragma once

#include <span>

#include "base/json.h"
#include "perf/recorder/request_record.h"

namespace weir {

Json AiperfResult(const Json& document, std::span<const RequestRecord> records);

}  // namespace weir
