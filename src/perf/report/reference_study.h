// The published figures that weir reproduces and improves on: vLLM 0.15.1, Llama 3.2 3B Instruct, one Tesla
// T4, FastAPI.
//
// Units     as in each name. These are another machine's numbers: only ratios and shares compare with ours
#pragma once

#include <array>

namespace weir {

struct ReferenceBatchRow {
  int batch_size;
  double output_tps;
  double e2el_p50_ms;
  double e2el_p95_ms;
  double e2el_p99_ms;
};

struct ReferenceStudy {
  static constexpr const char* kName = "vLLM 0.15.1 behind FastAPI, Llama 3.2 3B Instruct, one Tesla T4";
  static constexpr std::array<ReferenceBatchRow, 4> kBatchRows = {{
      {1, 37.0, 2700, 2712, 2716},
      {2, 69.0, 2898, 2905, 2906},
      {4, 135.6, 2949, 2955, 2962},
      {8, 265.1, 3016, 3026, 3026},
  }};
  // Highest speeds that the card's nominal 320 GB/s allows for 6.43 GB of fp16 weights, KV cache ignored.
  static constexpr std::array<double, 4> kLimitTps = {49.8, 99.5, 199, 398};
  static constexpr int kRequests = 50;
  static constexpr int kConcurrency = 5;
  static constexpr int kSucceeded = 22;
  static constexpr int kTimedOut = 28;
  static constexpr double kApiTps = 4.84;
  static constexpr double kWallSeconds = 365.8;
  static constexpr double kSuccessP50Ms = 2708;
  static constexpr double kSuccessP95Ms = 2715;
};

}  // namespace weir
