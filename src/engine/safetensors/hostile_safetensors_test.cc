// Files made to break a reader. The names begin with the ids of docs/FORMATS.md, "What is refused".
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "base/rng.h"
#include "engine/safetensors/safetensors_file.h"
#include "tests/support/temp_file.h"

namespace weir {
namespace {

std::string WithLength(uint64_t length, const std::string& rest) {
  std::string out(8, '\0');
  std::memcpy(out.data(), &length, 8);
  return out + rest;
}

std::string File(const std::string& header, size_t data_bytes) {
  return WithLength(header.size(), header + std::string(data_bytes, '\0'));
}

// A tensor entry of a correct file but for what is given.
std::string Entry(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"a":{"dtype":")" + dtype + R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}}";
}

std::string Refusal(const std::string& bytes, StatusCode code = StatusCode::kDataLoss) {
  const TempFile file(bytes, ".safetensors");
  const auto opened = SafetensorsFile::Open(file.path());
  if (opened.has_value()) return "";
  EXPECT_EQ(opened.error().code(), code) << opened.error().message();
  EXPECT_TRUE(opened.error().message().starts_with(file.path() + ": "));
  EXPECT_LT(opened.error().message().size(), 600u);
  return opened.error().message();
}

#define EXPECT_REFUSED(bytes, part) EXPECT_PRED_FORMAT2(testing::IsSubstring, part, Refusal(bytes))

TEST(HostileSafetensors, TheUndamagedFileOpens) {
  const TempFile file(File(Entry("F32", "[2,3]", "[0,24]"), 24), ".safetensors");
  const auto opened = SafetensorsFile::Open(file.path());
  ASSERT_TRUE(opened.has_value()) << opened.error().message();
  ASSERT_EQ((*opened)->tensors().size(), 1u);
  EXPECT_EQ((*opened)->tensors()[0].shape, (std::vector<uint64_t>{2, 3}));
}

TEST(HostileSafetensors, G1RefusesWhatIsNoSafetensorsFile) {
  EXPECT_REFUSED("", "no safetensors file");
  EXPECT_REFUSED("{}", "no safetensors file");
  EXPECT_REFUSED(WithLength(0, "{}"), "no safetensors file");
  EXPECT_REFUSED(std::string("<!DOCTYPE html><html><body></body></html>"), "no safetensors file");
  EXPECT_REFUSED(File("[1,2]", 0), "does not begin with {");
  EXPECT_REFUSED(File("{\"a\":", 0), "header");
}

TEST(HostileSafetensors, G2RefusesImpossibleLengths) {
  for (const uint64_t length : {UINT64_MAX, UINT64_MAX - 7, uint64_t{1} << 63, uint64_t{3}})
    EXPECT_REFUSED(WithLength(length, "{}"), "header of");
  EXPECT_REFUSED(WithLength(17 << 20, std::string(17 << 20, ' ')), "at most");
}

TEST(HostileSafetensors, G3RefusesBadEntries) {
  EXPECT_REFUSED(File(R"({"a":7})", 0), "no object");
  EXPECT_REFUSED(File(R"({"a":{}})", 0), "dtype");
  EXPECT_REFUSED(File(R"({"a":{"dtype":"F32"}})", 0), "shape");
  EXPECT_REFUSED(File(R"({"a":{"dtype":"F32","shape":[1]}})", 4), "data_offsets");
  for (const char* offsets :
       {"[0]", "[0,4,8]", "[4,0]", "[-4,0]", "[0,4.5]", "[0,\"4\"]", "[0,18446744073709551615]", "[0,1e300]"})
    EXPECT_REFUSED(File(Entry("F32", "[1]", offsets), 4), "tensor \"a\"");
  EXPECT_REFUSED(File(std::string(9000, '[').insert(0, "{\"a\":"), 0), "header");
}

TEST(HostileSafetensors, G4RefusesDuplicateOrBadNames) {
  EXPECT_REFUSED(File(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
                      R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
                      8),
                 "duplicate");
  EXPECT_REFUSED(File(R"({"":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4), "no name");
  EXPECT_REFUSED(
      File("{\"" + std::string(600, 'x') + R"(":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", 4),
      "600 bytes");
}

TEST(HostileSafetensors, G5RefusesBadDimensions) {
  for (const char* shape : {"[0]", "[-1]", "[4294967296,4294967296]", "[9223372036854775808,2]", "[1.5]",
                            "[\"1\"]", "[1,1,1,1,1,1,1,1,1]", "{}", "[18446744073709551616]"})
    EXPECT_REFUSED(File(Entry("F32", shape, "[0,4]"), 4), "tensor \"a\"");
}

TEST(HostileSafetensors, G6RefusesSizesThatDoNotMatch) {
  EXPECT_REFUSED(File(Entry("F32", "[2]", "[0,4]"), 8), "shape [2] of F32, but 4 bytes");
  EXPECT_REFUSED(File(Entry("F16", "[4611686018427387904,4]", "[0,0]"), 0), "bytes");
  EXPECT_REFUSED(File(Entry("BF16", "[9223372036854775807,2,2]", "[0,4]"), 4), "bytes");
}

TEST(HostileSafetensors, G7RefusesTypesByName) {
  for (const char* type : {"F8_E4M3", "I32", "U8", "I64", "F64", "", "q4"})
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "F32, F16 and BF16",
                        Refusal(File(Entry(type, "[1]", "[0,4]"), 4), StatusCode::kUnimplemented));
}

TEST(HostileSafetensors, G9RefusesOverlapAndTruncation) {
  EXPECT_REFUSED(File(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                      R"("b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
                      12),
                 "overlaps");
  const std::string whole = File(Entry("F32", "[20]", "[0,80]"), 80);
  for (size_t size = 0; size < whole.size(); size += 7) EXPECT_NE(Refusal(whole.substr(0, size)), "");
}

TEST(HostileSafetensors, FlippedBytesNeverBreakTheReader) {
  const std::string whole =
      File(R"({"__metadata__":{"format":"pt"},"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
           R"("b":{"dtype":"BF16","shape":[2,2],"data_offsets":[8,16]}})",
           16);
  Rng rng(5);
  int opened = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string damaged = whole;
    for (int flips = 0; flips <= i % 3; ++flips)
      damaged[static_cast<size_t>(rng.NextDouble() * static_cast<double>(damaged.size()))] =
          static_cast<char>(rng.NextDouble() * 256);
    const TempFile file(damaged, ".safetensors");
    const auto result = SafetensorsFile::Open(file.path());
    opened += result.has_value();
    if (!result.has_value()) continue;
    for (const StoredTensor& tensor : (*result)->tensors()) EXPECT_LE(tensor.data.size(), 16u);
  }
  EXPECT_GT(opened, 0);  // flips in the data and in names
}

}  // namespace
}  // namespace weir
