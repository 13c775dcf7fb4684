#include "engine/tensor/aligned_buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "engine/tensor/dtype.h"

namespace weir {
namespace {

TEST(AlignedBufferTest, MemoryIsZeroedAndOnAHugePageBoundary) {
  auto buffer = AlignedBuffer::Allocate((2 << 20) + 17);
  ASSERT_TRUE(buffer.has_value());
  EXPECT_EQ(buffer->size(), size_t{(2 << 20) + 17});
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer->data()) % (2 << 20), 0u);
  for (size_t i = 0; i < buffer->size(); i += 509) ASSERT_EQ(buffer->as<uint8_t>()[i], 0);
  buffer->as<uint8_t>(buffer->size() - 1)[0] = 7;
}

TEST(AlignedBufferTest, HugeBytesAreWholeHugePagesOfItsOwn) {
  auto buffer = AlignedBuffer::Allocate(size_t{8} << 20);
  ASSERT_TRUE(buffer.has_value());
  EXPECT_EQ(buffer->HugeBytes(), 0u);  // nothing was touched
  for (size_t i = 0; i < buffer->size(); i += 4096) buffer->as<uint8_t>(i)[0] = 1;
  // The kernel may refuse; what it grants it grants in pages of 2 MiB.
  EXPECT_LE(buffer->HugeBytes(), buffer->size());
  EXPECT_EQ(buffer->HugeBytes() % (2 << 20), 0u);
  EXPECT_EQ(AlignedBuffer().HugeBytes(), 0u);
}

TEST(AlignedBufferTest, MovingHandsTheMemoryOver) {
  auto first = AlignedBuffer::Allocate(100);
  ASSERT_TRUE(first.has_value());
  first->as<int>()[3] = 42;
  AlignedBuffer second = std::move(*first);
  EXPECT_EQ(first->data(), nullptr);
  EXPECT_EQ(first->size(), 0u);
  AlignedBuffer third;
  third = std::move(second);
  EXPECT_EQ(third.as<int>()[3], 42);
}

TEST(AlignedBufferTest, ImpossibleSizesAreRefusedWithTheSize) {
  for (const size_t bytes : {SIZE_MAX, SIZE_MAX - (2 << 20), size_t{1} << 46}) {
    auto buffer = AlignedBuffer::Allocate(bytes);
    ASSERT_FALSE(buffer.has_value());
    EXPECT_EQ(buffer.error().code(), StatusCode::kResourceExhausted);
    EXPECT_NE(buffer.error().message().find(std::to_string(bytes)), std::string::npos);
  }
}

TEST(AlignedBufferTest, AnEmptyBufferNeedsNoMemory) {
  auto buffer = AlignedBuffer::Allocate(0);
  ASSERT_TRUE(buffer.has_value());
  EXPECT_EQ(buffer->data(), nullptr);
}

TEST(DTypeTest, EveryKnownTypeHasConsistentTraitsAndIsListed) {
  int known = 0;
  for (uint32_t number = 0; number < 300; ++number) {
    const DTypeTraits* traits = FindDType(number);
    if (traits == nullptr) continue;
    ++known;
    EXPECT_EQ(static_cast<uint32_t>(traits->dtype), number);
    EXPECT_NE(SupportedDTypes().find(traits->name), std::string_view::npos) << traits->name;
  }
  EXPECT_EQ(known, 15);
}

TEST(DTypeTest, RemovedAndInventedNumbersAreUnknown) {
  for (const uint32_t number : {4u, 5u, 200u, 1u << 31, UINT32_MAX})
    EXPECT_EQ(FindDType(number), nullptr) << number;
}

}  // namespace
}  // namespace weir
