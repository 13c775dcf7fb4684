#include "engine/tensor/aligned_buffer.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/checked.h"

namespace weir {
namespace {

constexpr size_t kHugePageBytes = size_t{2} << 20;

Status Refused(size_t bytes, const char* reason) {
  return ResourceExhausted(
      fmt::format("cannot get {} bytes ({:.1f} MiB) of memory: {}; use a smaller model, context or "
                  "batch, or free memory",
                  bytes, static_cast<double>(bytes) / (1 << 20), reason));
}

}  // namespace

Result<AlignedBuffer> AlignedBuffer::Allocate(size_t bytes) {
  AlignedBuffer buffer;
  if (bytes == 0) return buffer;
  const CheckedSize rounded = CheckedSize(bytes).AlignUp(kHugePageBytes);
  const CheckedSize padded = rounded + kHugePageBytes;
  // Above 2^46 no 4-level page table can hold it; mmap would say so less clearly.
  if (!padded.FitsIn(uint64_t{1} << 46)) return Refused(bytes, "more than an address space holds");
  const size_t length = *rounded.value();
  void* const reserved =
      mmap(nullptr, *padded.value(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (reserved == MAP_FAILED) return Refused(bytes, std::strerror(errno));
  // The kernel aligns to 4 KiB only: keep the aligned middle, give both ends back.
  const uintptr_t start = reinterpret_cast<uintptr_t>(reserved);
  const uintptr_t aligned = (start + kHugePageBytes - 1) & ~(kHugePageBytes - 1);
  const size_t head = aligned - start;
  const size_t tail = kHugePageBytes - head;
  if (head > 0) munmap(reserved, head);
  if (tail > 0) munmap(reinterpret_cast<void*>(aligned + length), tail);
  // Only a wish: without huge pages everything works, slower.
  madvise(reinterpret_cast<void*>(aligned), length, MADV_HUGEPAGE);
  buffer.data_ = reinterpret_cast<std::byte*>(aligned);
  buffer.size_ = bytes;
  return buffer;
}

size_t AlignedBuffer::HugeBytes() const {
  if (data_ == nullptr) return 0;
  const auto first = reinterpret_cast<uintptr_t>(data_);
  const uintptr_t last = first + size_;
  std::ifstream smaps("/proc/self/smaps");
  std::string line;
  size_t huge = 0;
  size_t overlap = 0;  // of the mapping whose lines are being read
  while (std::getline(smaps, line)) {
    unsigned long from = 0, to = 0, kib = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &from, &to) == 2) {
      const uintptr_t begin = std::max<uintptr_t>(from, first), end = std::min<uintptr_t>(to, last);
      overlap = begin < end ? end - begin : 0;
    } else if (overlap > 0 && std::sscanf(line.c_str(), "AnonHugePages: %lu kB", &kib) == 1) {
      // Neighbours with the same flags may share the mapping.
      huge += std::min(overlap, size_t{kib} << 10);
    }
  }
  return huge;
}

AlignedBuffer::~AlignedBuffer() {
  if (data_ == nullptr) return;
  const size_t length = *CheckedSize(size_).AlignUp(kHugePageBytes).value();
  CHECK(munmap(data_, length) == 0);
}

AlignedBuffer::AlignedBuffer(AlignedBuffer&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), size_(std::exchange(other.size_, 0)) {}

AlignedBuffer& AlignedBuffer::operator=(AlignedBuffer&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

}  // namespace weir
