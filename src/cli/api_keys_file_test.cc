#include "cli/api_keys_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>

#include "tests/support/temp_file.h"

namespace weir {
namespace {

constexpr char kHash[] = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";  // of "abc"

Result<std::vector<ApiKey>> Parse(const std::string& text) {
  WEIR_ASSIGN_OR_RETURN(const TomlFile file, ParseToml(text, "keys.toml", true));
  return ParseApiKeys(file);
}

std::string Error(const std::string& text) {
  const Result<std::vector<ApiKey>> parsed = Parse(text);
  return parsed.has_value() ? "accepted" : parsed.error().message();
}

TEST(ApiKeysFileTest, ReadsEveryField) {
  const auto parsed = Parse(
      "[[keys]]\nname = \"a\"\nsha256 = "
      "\"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"\n"
      "weight = 2.5\nhighest_class = \"batch\"\nexpires = 2030-01-01T02:00:00+02:00\ntrusted = true\n"
      "limits = { requests_per_minute = 10, tokens_per_minute = 20, concurrent = 3 }\n"
      "[[keys]]\nname = \"b\"\nkey = \"a-key-of-some-length\"\nexpires = 2030-01-01\n");
  ASSERT_TRUE(parsed.has_value()) << parsed.error().message();
  ASSERT_EQ(parsed->size(), 2u);
  const ApiKey& a = (*parsed)[0];
  EXPECT_EQ(a.owner.name, "a");
  EXPECT_TRUE(SameDigest(a.digest, Sha256Bytes("abc")));
  EXPECT_EQ(a.owner.weight, 2.5);
  EXPECT_EQ(a.owner.highest_class, RequestClass::kBatch);
  EXPECT_TRUE(a.owner.trusted);
  EXPECT_EQ(a.limits.requests_per_minute, 10);
  EXPECT_EQ(a.limits.tokens_per_minute, 20);
  EXPECT_EQ(a.limits.max_concurrent, 3);
  const auto new_year = std::chrono::system_clock::from_time_t(1893456000);
  ASSERT_TRUE(a.expires.has_value());
  EXPECT_EQ(*a.expires, new_year);
  const ApiKey& b = (*parsed)[1];
  EXPECT_EQ(b.expires, new_year);
  EXPECT_TRUE(SameDigest(b.digest, Sha256Bytes("a-key-of-some-length")));
  EXPECT_FALSE(b.limits.any());
}

TEST(ApiKeysFileTest, SaysWhatIsWrongOnWhichLineAndNeverTheKey) {
  const std::string secret = "hunter2hunter2hunter2";
  const std::string head = "# ours\n[[keys]]\nname = \"a\"\n";
  const std::string good = "key = \"" + secret + "\"\n";
  struct Case {
    std::string text;
    std::string expected;
  };
  const std::vector<Case> cases = {
      {head, "keys.toml:2: 'a' needs either 'sha256' or 'key'"},
      {head + good + "sha256 = \"" + kHash + "\"\n", "needs either"},
      {head + "sha256 = \"abc\"\n", "keys.toml:4: 'sha256' must be 64 hex digits"},
      {head + "key = \"short\"\n", "keys.toml:4: 'key' has 5 characters"},
      {head + "key = 5\n", "keys.toml:4: 'key' must be a text"},
      {head + good + "wieght = 2\n", "keys.toml:5: unknown field 'wieght'; did you mean 'weight'?"},
      {head + good + "weight = 0\n", "keys.toml:5: 'weight'"},
      {head + good + "weight = nan\n", "keys.toml:5: 'weight'"},
      {head + good + "highest_class = \"gold\"\n", "keys.toml:5: 'highest_class' is 'gold'"},
      {head + good + "trusted = \"yes\"\n", "keys.toml:5: 'trusted'"},
      {head + good + "expires = \"soon\"\n", "keys.toml:5: 'expires' is 'soon'"},
      {head + good + "expires = 2030-01-01T00:00:00\n", "keys.toml:5: 'expires'"},
      {head + good + "limits = 5\n", "keys.toml:5: 'limits' must be a table"},
      {head + good + "limits = { requests_per_minute = 0 }\n", "keys.toml:5: 'requests_per_minute'"},
      {head + good + "limits = { request_per_minute = 1 }\n", "did you mean 'requests_per_minute'?"},
      {"[[keys]]\nname = \"a b\"\n" + good, "keys.toml:2: every key needs a 'name'"},
      {"[[keys]]\n" + good, "keys.toml:1: every key needs a 'name'"},
      {"[key]\nname = \"a\"\n" + good, "keys.toml:1: unknown table 'key'"},
      {"[keys]\nname = \"a\"\n" + good, "keys.toml:1: 'keys' must be a list"},
      {"keys = [1]\n", "keys.toml:1: a key must be a table"},
      {head + "key = \"" + secret + "\n", "keys.toml:4:"},
      {head + "key = " + secret + "\n", "keys.toml:4:"},
  };
  for (const Case& test : cases) {
    const std::string error = Error(test.text);
    EXPECT_NE(error.find(test.expected), std::string::npos) << error << "\nexpected: " << test.expected;
    EXPECT_EQ(error.find("hunter2"), std::string::npos) << error;
  }
}

TEST(ApiKeysFileTest, AFileThatOthersCanReadIsRefused) {
  const TempFile file("[[keys]]\nname = \"a\"\nkey = \"a-key-of-some-length\"\n", ".toml");
  for (const mode_t mode : {0600, 0400, 0440, 0640}) {
    ASSERT_EQ(chmod(file.path().c_str(), mode), 0);
    const auto ring = ReadKeyRing(file.path(), "");
    ASSERT_TRUE(ring.has_value()) << ring.error().message();
    EXPECT_EQ((*ring)->keys().size(), 1u);
  }
  for (const mode_t mode : {0644, 0604, 0602, 0660, 0601}) {
    ASSERT_EQ(chmod(file.path().c_str(), mode), 0);
    const auto ring = ReadKeyRing(file.path(), "");
    ASSERT_FALSE(ring.has_value()) << mode;
    EXPECT_NE(ring.error().message().find("chmod 600"), std::string::npos);
  }
}

TEST(ApiKeysFileTest, TheEnvironmentsKeyStandsAloneOrBesideTheFile) {
  const TempFile file("[[keys]]\nname = \"a\"\nkey = \"a-key-of-some-length\"\n", ".toml");
  ASSERT_EQ(chmod(file.path().c_str(), 0600), 0);
  const auto none = ReadKeyRing("", "");
  ASSERT_TRUE(none.has_value());
  EXPECT_EQ(*none, nullptr);
  const auto alone = ReadKeyRing("", "another-key-of-some-length");
  ASSERT_TRUE(alone.has_value());
  EXPECT_NE((*alone)->Find("another-key-of-some-length", std::chrono::system_clock::now()), nullptr);
  const auto both = ReadKeyRing(file.path(), "another-key-of-some-length");
  ASSERT_TRUE(both.has_value());
  EXPECT_EQ((*both)->keys().size(), 2u);
  EXPECT_FALSE(ReadKeyRing(file.path(), "a-key-of-some-length").has_value()) << "the same key twice";
  const auto shorter = ReadKeyRing("", "hunter2");
  ASSERT_FALSE(shorter.has_value());
  EXPECT_EQ(shorter.error().message().find("hunter2"), std::string::npos);
}

TEST(ApiKeysFileTest, AnEmptyFileIsNoWayToLetEverybodyIn) {
  const TempFile file("# none yet\n", ".toml");
  ASSERT_EQ(chmod(file.path().c_str(), 0600), 0);
  EXPECT_FALSE(ReadKeyRing(file.path(), "").has_value());
}

}  // namespace
}  // namespace weir
