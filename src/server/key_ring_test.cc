#include "server/key_ring.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>

namespace weir {
namespace {

using std::chrono::hours;
using std::chrono::system_clock;

ApiKey Key(const std::string& name, const std::string& secret) {
  ApiKey key;
  key.owner.name = name;
  key.digest = Sha256Bytes(secret);
  return key;
}

TEST(KeyRingTest, FindsEachKeyAndNoOther) {
  std::vector<ApiKey> keys;
  for (int i = 0; i < 20; ++i) keys.push_back(Key("k" + std::to_string(i), "secret-" + std::to_string(i)));
  const KeyRing ring(keys);
  const auto now = system_clock::now();
  for (int i = 0; i < 20; ++i) {
    const ApiKey* found = ring.Find("secret-" + std::to_string(i), now);
    ASSERT_NE(found, nullptr) << i;
    EXPECT_EQ(found->owner.name, "k" + std::to_string(i));
  }
  for (const std::string& wrong :
       {std::string(), std::string("secret-"), std::string("secret-20"), std::string("Secret-1"),
        std::string("secret-1\0", 9), std::string(1 << 20, 'x')})
    EXPECT_EQ(ring.Find(wrong, now), nullptr);
}

TEST(KeyRingTest, AKeyEndsAtItsExpiry) {
  const auto end = system_clock::now();
  ApiKey key = Key("k", "secret");
  key.expires = end;
  const KeyRing ring({key});
  EXPECT_NE(ring.Find("secret", end - hours(1)), nullptr);
  EXPECT_EQ(ring.Find("secret", end), nullptr);
  EXPECT_EQ(ring.Find("secret", end + hours(1)), nullptr);
}

TEST(KeyRingTest, SaltsDifferBetweenKeysAndStayAcrossReloads) {
  const KeyRing first({Key("a", "secret-a"), Key("b", "secret-b")});
  const KeyRing again({Key("b", "secret-b"), Key("a", "secret-a")});
  EXPECT_NE(first.keys()[0].owner.salt, first.keys()[1].owner.salt);
  EXPECT_NE(first.keys()[0].owner.salt, 0u);
  EXPECT_EQ(first.keys()[0].owner.salt, again.keys()[1].owner.salt);
}

TEST(KeyRingTest, RefusesNamesAndKeysThatOccurTwice) {
  EXPECT_FALSE(CheckKeys({}).ok());
  EXPECT_TRUE(CheckKeys({Key("a", "x"), Key("b", "y")}).ok());
  EXPECT_NE(CheckKeys({Key("a", "x"), Key("a", "y")}).message().find("'a'"), std::string::npos);
  const Status same = CheckKeys({Key("a", "x"), Key("b", "x")});
  EXPECT_FALSE(same.ok());
  EXPECT_EQ(same.message().find(Sha256("x")), std::string::npos) << "a message names no digest";
}

}  // namespace
}  // namespace weir
