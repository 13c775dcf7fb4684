// The products of single matrices, one thread: GMAC/s, weight bytes per second and their share of what plain reading
// reaches, share of the int8 peak.
//
// Each case is checked against the reference in double before it is timed. WEIR_ISA chooses the path.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <span>
#include <vector>

#include "base/rng.h"
#include "engine/kernels/kernels.h"
#include "engine/kernels/matmul.h"
#include "engine/kernels/reference/reference.h"
#include "engine/tensor/aligned_buffer.h"
#include "engine/tensor/half.h"
#include "tests/support/block_halves.h"

namespace weir {
namespace {

// Few rows live on the memory: their weights must lie beyond any cache. The weights of many may come from one.
int64_t StreamBytes(int rows) { return int64_t{rows == 1 ? 512 : 16} << 20; }

// Best of several short runs: the rate when nobody disturbs.
double PeakInt8(const KernelTable& kernels) {
  double best = 0;
  for (int i = 0; i < 50; ++i) {
    int32_t sink[2] = {0x01020304, 0x03020101};
    const auto start = std::chrono::steady_clock::now();
    const double macs = static_cast<double>(kernels.probe_int8(20000, sink));
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, macs / elapsed.count());
  }
  return best;
}

double PeakTiles(const KernelTable& kernels) {
  double best = 0;
  for (int i = 0; i < 50; ++i) {
    float sink = 0;
    const auto start = std::chrono::steady_clock::now();
    const double macs = static_cast<double>(kernels.prompts->probe(1000, &sink));
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, macs / elapsed.count());
  }
  return best;
}

// Plain reading of pieces as large as the matrix, best of all pieces: as the product is timed.
double PeakRead(const KernelTable& kernels, const AlignedBuffer& buffer, int64_t bytes, int pieces) {
  double best = 0;
  for (int i = 0; i < 2 * pieces; ++i) {
    const auto start = std::chrono::steady_clock::now();
    uint64_t sum = kernels.probe_read(buffer.as<unsigned char>() + i % pieces * bytes, bytes);
    benchmark::DoNotOptimize(sum);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::max(best, static_cast<double>(bytes) / elapsed.count());
  }
  return best;
}

// Random weights as a file has them.
std::vector<unsigned char> RandomBlocks(DType dtype, int in, int out) {
  const DTypeTraits& traits = Traits(dtype);
  Rng rng(1);
  std::vector<unsigned char> bytes(static_cast<size_t>(in) / traits.block_size * static_cast<size_t>(out) *
                                   traits.block_bytes);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(rng.NextBelow(256));
  for (size_t block = 0; block < bytes.size(); block += traits.block_bytes) {
    const auto value = static_cast<float>(rng.NextDouble()) * 0.01f;
    if (dtype == DType::kF32) {
      std::memcpy(&bytes[block], &value, 4);
      continue;
    }
    const uint16_t half = dtype == DType::kBF16 ? FloatToBFloat16(value) : FloatToHalf(value);
    for (const size_t at : HalvesOf(dtype)) std::memcpy(&bytes[block + at], &half, 2);
  }
  return bytes;
}

struct Case {
  PackedMatrix matrix;
  AlignedBuffer weights;
  int copies = 1;  // of the matrix, one after another
  std::vector<float> x;
  AlignedBuffer tiles;
  std::vector<float> y;
  Activations input;
};

bool Agrees(const KernelTable& kernels, const Case& c) {
  // A prompt's weights and activations have 8 bits each.
  const double tolerance = c.input.prompt_rows > 0 ? 1.0 / 128 : 1e-5;
  std::vector<float> w(static_cast<size_t>(c.matrix.in));
  for (int row = 0; row < c.input.rows; row += std::max(1, c.input.rows / 3)) {
    const std::span<const float> x(c.x.data() + int64_t{row} * c.matrix.in, w.size());
    const auto quantized = reference::Quantize(x);
    for (int out = 0; out < c.matrix.out; out += 37) {
      UnpackRow(kernels, c.matrix, out, w.data());
      const auto expected = c.matrix.quantized() && c.input.prompt_rows == 0
                                ? reference::DotProduct(w, quantized)
                                : reference::DotProduct(w, x);
      const double found = static_cast<double>(c.y[static_cast<size_t>(int64_t{row} * c.matrix.out + out)]);
      if (!(std::fabs(found - expected.sum) <= tolerance * expected.magnitude + 1e-30)) return false;
    }
  }
  return true;
}

// The error message, or empty.
const char* Prepare(const KernelTable& kernels, DType dtype, int rows, int out, int in, bool is_prompt,
                    Case& c) {
  auto matrix = LayOutMatrix(kernels, dtype, in, out, "w");
  if (!matrix.has_value()) return "no kernel for this type";
  c.matrix = *matrix;
  c.copies = static_cast<int>(std::max<int64_t>(1, StreamBytes(rows) / c.matrix.bytes()));
  auto buffer = AlignedBuffer::Allocate(static_cast<size_t>(c.matrix.bytes() * c.copies));
  if (!buffer.has_value()) return "no memory";
  c.weights = *std::move(buffer);
  const auto blocks = RandomBlocks(dtype, in, out);
  c.matrix.data = c.weights.as<unsigned char>();
  if (!PackStrips(kernels, std::as_bytes(std::span(blocks)), "w", 0, c.matrix.num_strips(), c.matrix).ok())
    return "packing failed";
  for (int i = 1; i < c.copies; ++i)
    std::memcpy(c.matrix.data + i * c.matrix.bytes(), c.matrix.data, static_cast<size_t>(c.matrix.bytes()));
  Rng rng(2);
  c.x.resize(static_cast<size_t>(rows) * static_cast<size_t>(in));
  for (float& v : c.x) v = static_cast<float>(rng.NextDouble() * 2 - 1);
  auto tiles = AlignedBuffer::Allocate(static_cast<size_t>(MixedTileBytes(kernels, rows, in)));
  if (!tiles.has_value()) return "no memory";
  c.tiles = *std::move(tiles);
  c.y.resize(static_cast<size_t>(rows) * static_cast<size_t>(out));
  c.input = {c.tiles.as<unsigned char>(), c.x.data(), rows, in, is_prompt ? rows : 0};
  if (c.matrix.quantized()) QuantizeRows(kernels, c.x.data(), in, 0, rows, 0, in, c.input);
  MultiplyStrips(kernels, c.matrix, c.input, 0, c.matrix.num_strips(), c.y.data(), out, false);
  return Agrees(kernels, c) ? nullptr : "the product differs from the reference";
}

void MatMul(benchmark::State& state, DType dtype, bool is_prompt) {
  const auto selected = SelectKernels("");
  if (!selected.has_value()) return state.SkipWithError(selected.error().message().c_str());
  const KernelTable& kernels = **selected;
  if (is_prompt && kernels.prompts == nullptr)
    return state.SkipWithError("this path has no kernels for prompts");
  Case c;
  const char* error =
      Prepare(kernels, dtype, static_cast<int>(state.range(0)), static_cast<int>(state.range(1)),
              static_cast<int>(state.range(2)), is_prompt, c);
  if (error != nullptr) return state.SkipWithError(error);
  int copy = c.copies - 1;
  PackedMatrix matrix = c.matrix;
  double best = 1e9;
  for ([[maybe_unused]] auto _ : state) {
    // Not the first of several, which was read for all the others and may still lie in a cache.
    copy = copy + 1 < c.copies ? copy + 1 : std::min(1, c.copies - 1);
    matrix.data = c.matrix.data + copy * c.matrix.bytes();
    const auto start = std::chrono::steady_clock::now();
    MultiplyStrips(kernels, matrix, c.input, 0, matrix.num_strips(), c.y.data(), matrix.out, false);
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    best = std::min(best, elapsed.count());
    benchmark::DoNotOptimize(c.y.data());
  }
  const double macs = static_cast<double>(state.range(0)) * static_cast<double>(matrix.in) * matrix.out;
  // Of the best iteration: the mean tells more about the neighbours than about the kernel.
  state.counters["GMAC/s"] = macs / best * 1e-9;
  state.counters["GB/s"] = static_cast<double>(matrix.bytes()) / best * 1e-9;
  state.counters["share"] =
      macs / best / (is_prompt && kernels.prompts->probe != nullptr ? PeakTiles(kernels) : PeakInt8(kernels));
  if (state.range(0) == 1)
    state.counters["of_read"] =
        static_cast<double>(matrix.bytes()) / best / PeakRead(kernels, c.weights, matrix.bytes(), c.copies);
  state.SetLabel(kernels.name);
}

// The matrices of the default model.
void SmallShapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"M", "N", "K"});
  for (const int rows : {1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 512}) benchmark->Args({rows, 576, 576});
  for (const int rows : {1, 8, 32, 512}) benchmark->Args({rows, 1536, 576});
  for (const int rows : {1, 8, 32, 512}) benchmark->Args({rows, 576, 1536});
}

// Prompts on tiles, in the shapes of the default model.
void PromptShapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"M", "N", "K"});
  for (const int rows : {32, 128, 256, 512})
    benchmark->Args({rows, 32, 576})->Args({rows, 1536, 576})->Args({rows, 576, 1536});
}

// For all formats: one row, a full tile, many tiles.
void WideShapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"M", "N", "K"});
  for (const int rows : {1, 2, 4, 8, 32}) benchmark->Args({rows, 2048, 2048});
}

BENCHMARK_CAPTURE(MatMul, Q4_1, DType::kQ4_1, false)->Apply(SmallShapes);
BENCHMARK_CAPTURE(MatMul, Q8_0, DType::kQ8_0, false)->Apply(SmallShapes);
BENCHMARK_CAPTURE(MatMul, Q4_0, DType::kQ4_0, false)->Apply(SmallShapes);
BENCHMARK_CAPTURE(MatMul, Prompt_Q4_1, DType::kQ4_1, true)->Apply(PromptShapes);
BENCHMARK_CAPTURE(MatMul, Prompt_Q8_0, DType::kQ8_0, true)->Apply(PromptShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q4_1, DType::kQ4_1, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q4_0, DType::kQ4_0, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q8_0, DType::kQ8_0, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q5_0, DType::kQ5_0, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q5_1, DType::kQ5_1, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q4_K, DType::kQ4_K, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q5_K, DType::kQ5_K, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q6_K, DType::kQ6_K, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q2_K, DType::kQ2_K, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_Q3_K, DType::kQ3_K, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_IQ4_NL, DType::kIQ4_NL, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_IQ4_XS, DType::kIQ4_XS, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_F16, DType::kF16, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_BF16, DType::kBF16, false)->Apply(WideShapes);
BENCHMARK_CAPTURE(MatMul, Wide_F32, DType::kF32, false)->Apply(WideShapes);

}  // namespace
}  // namespace weir
