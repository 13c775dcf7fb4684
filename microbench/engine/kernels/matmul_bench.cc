// The products of the default model's shapes, one thread: GMAC/s, weight bytes per second, share of the int8 peak.
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

namespace weir {
namespace {

// Weights beyond any cache, so that one row shows the memory and not the cache.
constexpr int64_t kStreamBytes = int64_t{64} << 20;

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

// Random blocks as a file has them, and what they say.
std::vector<unsigned char> RandomBlocks(DType dtype, int in, int out) {
  const DTypeTraits& traits = Traits(dtype);
  Rng rng(1);
  std::vector<unsigned char> bytes(static_cast<size_t>(in / 32) * static_cast<size_t>(out) *
                                   traits.block_bytes);
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(rng.NextBelow(256));
  for (size_t block = 0; block < bytes.size(); block += traits.block_bytes) {
    const uint16_t scale = FloatToHalf(static_cast<float>(rng.NextDouble()) * 0.01f);
    std::memcpy(&bytes[block], &scale, 2);
    if (dtype == DType::kQ4_1) std::memcpy(&bytes[block + 2], &scale, 2);
  }
  return bytes;
}

struct Case {
  PackedMatrix matrix;
  AlignedBuffer weights;
  int copies = 1;  // of the matrix, one after another
  std::vector<float> x;
  std::vector<unsigned char> tiles;
  std::vector<float> y;
  Activations input;
};

bool Agrees(const KernelTable& kernels, const Case& c) {
  std::vector<float> w(static_cast<size_t>(c.matrix.in));
  for (int row = 0; row < c.input.rows; row += std::max(1, c.input.rows / 3)) {
    const std::span<const float> x(c.x.data() + int64_t{row} * c.matrix.in, w.size());
    const auto quantized = reference::Quantize(x);
    for (int out = 0; out < c.matrix.out; out += 37) {
      UnpackRow(kernels, c.matrix, out, w.data());
      const auto expected = reference::DotProduct(w, quantized);
      const double found = static_cast<double>(c.y[static_cast<size_t>(int64_t{row} * c.matrix.out + out)]);
      if (!(std::fabs(found - expected.sum) <= 1e-5 * expected.magnitude + 1e-30)) return false;
    }
  }
  return true;
}

// The error message, or empty.
const char* Prepare(const KernelTable& kernels, DType dtype, int rows, int out, int in, Case& c) {
  auto matrix = LayOutMatrix(kernels, dtype, in, out, "w");
  if (!matrix.has_value()) return "no kernel for this type";
  c.matrix = *matrix;
  c.copies = static_cast<int>(std::max<int64_t>(1, kStreamBytes / c.matrix.bytes()));
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
  c.tiles.resize(static_cast<size_t>(ActivationTileBytes(rows, in)));
  c.y.resize(static_cast<size_t>(rows) * static_cast<size_t>(out));
  c.input = {c.tiles.data(), c.x.data(), rows, in};
  for (int r = 0; r < rows; ++r) QuantizeRow(kernels, c.x.data() + int64_t{r} * in, r, 0, in, c.input);
  MultiplyStrips(kernels, c.matrix, c.input, 0, c.matrix.num_strips(), c.y.data(), out, false);
  return Agrees(kernels, c) ? nullptr : "the product differs from the reference";
}

void MatMul(benchmark::State& state, DType dtype) {
  const auto selected = SelectKernels("");
  if (!selected.has_value()) return state.SkipWithError(selected.error().message().c_str());
  const KernelTable& kernels = **selected;
  Case c;
  const char* error = Prepare(kernels, dtype, static_cast<int>(state.range(0)),
                              static_cast<int>(state.range(1)), static_cast<int>(state.range(2)), c);
  if (error != nullptr) return state.SkipWithError(error);
  int copy = 0;
  PackedMatrix matrix = c.matrix;
  double best = 1e9;
  for ([[maybe_unused]] auto _ : state) {
    matrix.data = c.matrix.data + copy * c.matrix.bytes();
    copy = (copy + 1) % c.copies;
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
  state.counters["share"] = macs / best / PeakInt8(kernels);
  state.SetLabel(kernels.name);
}

void BM_MatMulQ4_1(benchmark::State& state) { MatMul(state, DType::kQ4_1); }
void BM_MatMulQ8_0(benchmark::State& state) { MatMul(state, DType::kQ8_0); }
void BM_MatMulQ4_0(benchmark::State& state) { MatMul(state, DType::kQ4_0); }

void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"M", "N", "K"});
  for (const int rows : {1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 512}) benchmark->Args({rows, 576, 576});
  for (const int rows : {1, 8, 32, 512}) benchmark->Args({rows, 1536, 576});
  for (const int rows : {1, 8, 32, 512}) benchmark->Args({rows, 576, 1536});
}

BENCHMARK(BM_MatMulQ4_1)->Apply(Shapes);
BENCHMARK(BM_MatMulQ8_0)->Apply(Shapes);
BENCHMARK(BM_MatMulQ4_0)->Apply(Shapes);

}  // namespace
}  // namespace weir
