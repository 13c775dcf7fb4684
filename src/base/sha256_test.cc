#include "base/sha256.h"

#include <gtest/gtest.h>

namespace weir {
namespace {

// FIPS 180-4, "abc".
constexpr char kAbc[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

TEST(Sha256Test, HexAndBytesAreTheSameDigest) {
  EXPECT_EQ(Sha256("abc"), kAbc);
  ASSERT_TRUE(DigestFromHex(kAbc).has_value());
  EXPECT_TRUE(SameDigest(*DigestFromHex(kAbc), Sha256Bytes("abc")));
}

TEST(Sha256Test, OneBitAnywhereIsAnotherDigest) {
  const Sha256Digest abc = Sha256Bytes("abc");
  for (size_t i = 0; i < abc.size(); ++i) {
    Sha256Digest other = abc;
    other[i] ^= 1;
    EXPECT_FALSE(SameDigest(abc, other)) << i;
  }
}

TEST(Sha256Test, OnlySixtyFourHexDigitsAreADigest) {
  const std::string hex = kAbc;
  for (const std::string& text :
       {std::string(), hex.substr(1), hex + "0", "g" + hex.substr(1), " " + hex.substr(1)})
    EXPECT_FALSE(DigestFromHex(text).has_value()) << text;
  std::string upper = hex;
  for (char& c : upper) c = static_cast<char>(std::toupper(c));
  EXPECT_EQ(DigestFromHex(upper), DigestFromHex(hex));
}

}  // namespace
}  // namespace weir
