#include "engine/gguf/byte_reader.h"

#include <gtest/gtest.h>

#include <string>

#include "engine/gguf/name_index.h"

namespace weir {
namespace {

std::span<const std::byte> Bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

TEST(ByteReaderTest, ReadsPastTheEndFailAndMoveNothing) {
  const std::string text("\1\0\2", 3);
  ByteReader reader(Bytes(text));
  uint16_t number = 0;
  ASSERT_TRUE(reader.Read(&number));
  EXPECT_EQ(number, 1);
  EXPECT_FALSE(reader.Read(&number));
  EXPECT_EQ(reader.offset(), 2u);
  EXPECT_EQ(reader.remaining(), 1u);
  std::span<const std::byte> rest;
  EXPECT_FALSE(reader.Take(2, &rest));
  EXPECT_FALSE(reader.Take(UINT64_MAX, &rest));
  ASSERT_TRUE(reader.Take(1, &rest));
  EXPECT_EQ(rest[0], std::byte{2});
}

TEST(ByteReaderTest, AStringLongerThanTheRestMovesNothing) {
  const std::string whole = std::string("\3\0\0\0\0\0\0\0", 8) + "abc";
  ByteReader reader(Bytes(whole));
  std::string_view text;
  ASSERT_TRUE(reader.TakeString(&text));
  EXPECT_EQ(text, "abc");
  const std::string cut = whole.substr(0, 10);
  ByteReader short_reader(Bytes(cut));
  EXPECT_FALSE(short_reader.TakeString(&text));
  EXPECT_EQ(short_reader.offset(), 0u);
  const std::string huge = std::string(8, '\xff') + "abc";
  ByteReader huge_reader(Bytes(huge));
  EXPECT_FALSE(huge_reader.TakeString(&text));
}

TEST(NameIndexTest, FindsNamesAndTheFirstDuplicate) {
  NameIndex index;
  index.Add("b", 0);
  index.Add("a", 1);
  index.Add("", 2);
  EXPECT_FALSE(index.Finish().has_value());
  EXPECT_EQ(index.Find("a"), 1u);
  EXPECT_EQ(index.Find("b"), 0u);
  EXPECT_EQ(index.Find(""), 2u);
  EXPECT_FALSE(index.Find("c").has_value());
  NameIndex twice;
  twice.Add("x", 0);
  twice.Add("y", 1);
  twice.Add("x", 2);
  const auto duplicate = twice.Finish();
  ASSERT_TRUE(duplicate.has_value());
  EXPECT_EQ(*duplicate, std::pair(0u, 2u));
}

}  // namespace
}  // namespace weir
