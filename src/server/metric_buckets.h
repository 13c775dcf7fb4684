// Bucket boundaries of the metrics, in seconds unless named otherwise: vLLM's own, so that existing panels work, plus
// finer ones below, because vLLM starts at 300 ms for request times, which a small model never reaches.
#pragma once

namespace weir {

inline constexpr double kTtftBuckets[] = {0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08,
                                          0.1,    0.15,  0.25,  0.5,   0.75, 1,    1.5,  2,    2.5,
                                          5,      7.5,   10,    20,    40,   80,   160,  640,  2560};
inline constexpr double kItlBuckets[] = {0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.025, 0.05,
                                         0.075, 0.1,   0.15,  0.2,   0.3,    0.4,  0.5,   0.75,
                                         1,     2.5,   5,     7.5,   10,     20,   40,    80};
inline constexpr double kRequestBuckets[] = {
    0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.3, 0.5, 0.8, 1,    1.5, 2,
    2.5,    5,      10,    15,     20,    30,   40,    50,   60,  120, 240, 480, 960, 1920, 7680};
inline constexpr double kStageBuckets[] = {1e-6, 2e-6, 5e-6, 1e-5, 2e-5, 5e-5, 1e-4, 2e-4, 5e-4,
                                           1e-3, 2e-3, 5e-3, 1e-2, 2e-2, 5e-2, 0.1,  0.2,  0.5,
                                           1,    2,    5,    10,   20,   50,   100};
inline constexpr double kTokenBuckets[] = {1,   2,    5,    10,   20,    50,    100,   200,
                                           500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};
inline constexpr double kStepTokenBuckets[] = {1,   8,    16,   32,   64,   128,  256,
                                               512, 1024, 2048, 4096, 8192, 16384};
inline constexpr double kRatioBuckets[] = {0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 4, 8};
inline constexpr double kCountBuckets[] = {1, 2, 5, 10, 20};
inline constexpr double kBatchBuckets[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};

}  // namespace weir
