// Model files made to break a reader. The names begin with the ids of docs/FORMATS.md, "What is refused".
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/rng.h"
#include "engine/gguf/model_file.h"
#include "tests/support/gguf_writer.h"
#include "tests/support/quantize.h"
#include "tests/support/temp_file.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

constexpr uint64_t kMax = UINT64_MAX;
constexpr uint64_t kTop = uint64_t{1} << 63;

// The reason for refusal; empty when the file was opened, which no expectation below accepts.
std::string Refusal(const std::string& bytes) {
  const TempFile file(bytes);
  const auto opened = ModelFile::Open(file.path());
  if (opened.has_value()) return "";
  const StatusCode code = opened.error().code();
  EXPECT_TRUE(code == StatusCode::kDataLoss || code == StatusCode::kUnimplemented) << StatusCodeName(code);
  EXPECT_TRUE(opened.error().message().starts_with(file.path() + ": "));
  EXPECT_LT(opened.error().message().size(), 600u);
  return opened.error().message().substr(file.path().size() + 2);
}

#define EXPECT_REFUSED(bytes, part) EXPECT_PRED_FORMAT2(testing::IsSubstring, part, Refusal(bytes))

// A correct file of one key and one tensor, for one thing to be wrong in.
GgufWriter Small() {
  GgufWriter out;
  out.SetString("general.architecture", "llama");
  out.AddTensor("a.weight", {32, 2}, DType::kF32, std::string(256, '\0'));
  return out;
}

std::string Changed(const std::function<void(GgufWriter&)>& change) {
  GgufWriter out = Small();
  change(out);
  return out.Build();
}

TEST(HostileModel, TheUndamagedFileOpens) {
  const TempFile file(Small().Build());
  EXPECT_TRUE(ModelFile::Open(file.path()).has_value());
}

TEST(HostileModel, G1RefusesWrongMagicOrVersion) {
  EXPECT_REFUSED("", "not a GGUF file");
  EXPECT_REFUSED("GGU", "not a GGUF file");
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.magic = "GGUX"; }), "not a GGUF file");
  EXPECT_REFUSED("<!DOCTYPE html><html>", "web page");
  EXPECT_REFUSED("version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer");
  for (const uint32_t version : {0u, 1u, 4u, UINT32_MAX}) {
    EXPECT_REFUSED(Changed([&](GgufWriter& f) { f.version = version; }),
                   "version " + std::to_string(version) + ", supported: 2 and 3");
  }
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.version = 3u << 24; }), "big-endian file");
}

TEST(HostileModel, G2RefusesImpossibleCounts) {
  const uint64_t left = Small().Build().size() - 24;
  for (const uint64_t count : {kMax, kTop, left / 14 + 1}) {
    EXPECT_REFUSED(Changed([&](GgufWriter& f) { f.num_keys = count; }),
                   "room for at most " + std::to_string(left / 14));
  }
  const uint64_t most = (left - 14) / 33;
  for (const uint64_t count : {kMax, kTop, most + 1}) {
    EXPECT_REFUSED(Changed([&](GgufWriter& f) { f.num_tensors = count; }),
                   "room for at most " + std::to_string(most));
  }
  // Room for them, but more than any model has: the directory itself would eat memory.
  GgufWriter many = Small();
  many.num_keys = 65'537;
  EXPECT_REFUSED(many.Build() + std::string(14 * 65'537, '\0'), "weir reads at most 65536");
}

TEST(HostileModel, G3RefusesBadLengthsAndTypes) {
  const auto key_of_length = [](uint64_t length) {
    std::string bytes = "GGUF";
    AppendRaw<uint32_t>(&bytes, 3);
    AppendRaw<uint64_t>(&bytes, 0);
    AppendRaw<uint64_t>(&bytes, 1);
    AppendRaw<uint64_t>(&bytes, length);
    return bytes + std::string(100, 'k');
  };
  EXPECT_REFUSED(key_of_length(kMax), "key 0 at byte 24");
  EXPECT_REFUSED(key_of_length(101), "key 0 at byte 24");

  const auto with_value = [](uint32_t type, const std::string& value) {
    GgufWriter out;
    out.SetRaw("k", type, value);
    return out.Build();
  };
  const auto text = [](uint64_t length) {
    std::string out;
    AppendRaw(&out, length);
    return out + "abc";
  };
  const auto array = [](uint32_t type, uint64_t count, const std::string& elements) {
    std::string out;
    AppendRaw(&out, type);
    AppendRaw(&out, count);
    return out + elements;
  };
  for (const uint64_t length : {kMax, uint64_t{4}}) {
    EXPECT_REFUSED(with_value(8, text(length)), "key \"k\" at byte 24");
    EXPECT_REFUSED(with_value(9, array(8, 1, text(length))), "key \"k\" at byte 24");
  }
  for (const uint64_t count : {kMax, kTop, uint64_t{3}}) {
    EXPECT_REFUSED(with_value(9, array(4, count, "12345678")), "key \"k\" at byte 24 is an array of");
    EXPECT_REFUSED(with_value(9, array(8, count, text(3))), "key \"k\" at byte 24 is an array of");
  }
  EXPECT_REFUSED(with_value(9, array(9, 1, array(4, 1, "1234"))), "array of arrays");
  EXPECT_REFUSED(with_value(13, "1234"), "value type 13");
  EXPECT_REFUSED(with_value(9, array(13, 0, "")), "value type 13");
  EXPECT_REFUSED(with_value(7, std::string(2, '\7')), "boolean of value 7");
  EXPECT_REFUSED(with_value(9, array(7, 2, std::string("\1\7", 2))), "boolean of value 7");
  EXPECT_REFUSED(with_value(10, "1234567"), "ends before its value");
}

TEST(HostileModel, G3ReadsArraysThatJustFit) {
  GgufWriter out;
  out.SetStringArray("none", {});
  out.SetStringArray("empty", {"", ""});
  out.SetInt32Array("numbers", {1, -2});
  const TempFile file(out.Build());
  const auto opened = ModelFile::Open(file.path());
  ASSERT_TRUE(opened.has_value()) << opened.error().message();
  EXPECT_EQ((*opened)->GetIntArray("numbers").value(), (std::vector<int64_t>{1, -2}));
  EXPECT_EQ((*opened)->GetStringArray("empty").value().size(), 2u);
}

TEST(HostileModel, G4RefusesDuplicateOrBadNames) {
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.keys.push_back(f.keys[0]); }),
                 "key \"general.architecture\" is there twice, at bytes 24 and ");
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.keys.push_back({"", 4, "1234"}); }), "has no name");
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.SetUint32(std::string(1025, 'k'), 1); }),
                 "a name of 1025 bytes");
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.tensors.push_back(f.tensors[0]); }),
                 "tensor \"a.weight\" is there twice, as numbers 0 and 1 of the directory, with data at "
                 "offsets 0 and 256");
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.tensors[0].name = ""; }), "has no name");
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.tensors[0].name = std::string(64, 't'); }),
                 "a name of 64 bytes");
  // Names are shown escaped and cut, so that a file cannot write into a terminal.
  const std::string message = Refusal(Changed([](GgufWriter& f) {
    f.keys.push_back({"\x1b[2J" + std::string(200, 'k'), 13, ""});
  }));
  EXPECT_NE(message, "");
  EXPECT_EQ(message.find('\x1b'), std::string::npos);
  EXPECT_EQ(message.find(std::string(65, 'k')), std::string::npos);
}

TEST(HostileModel, G5RefusesBadDimensions) {
  for (const size_t num_dims : {size_t{0}, size_t{5}}) {
    EXPECT_REFUSED(Changed([&](GgufWriter& f) { f.tensors[0].dims.assign(num_dims, 1); }),
                   "tensor \"a.weight\" at byte ");
  }
  std::string bytes = Small().Build();
  const size_t at = bytes.find("a.weight") + 8;
  bytes.replace(at, 4, "\xff\xff\xff\xff");
  EXPECT_REFUSED(bytes, "has 4294967295 dimensions, expected 1 to 4");
  const std::vector<std::vector<uint64_t>> bad = {{0},
                                                  {32, 0},
                                                  {kMax},
                                                  {kTop},
                                                  {32, kMax},
                                                  {uint64_t{1} << 22, (uint64_t{1} << 42) + 1},
                                                  {kTop, kTop, kTop, kTop}};
  for (const auto& dims : bad) {
    EXPECT_REFUSED(Changed([&](GgufWriter& f) { f.tensors[0].dims = dims; }), "tensor \"a.weight\" has ");
  }
}

TEST(HostileModel, G6RefusesWrappingSizes) {
  // Each legal alone; together, padded or added to the start of the data, they pass 2^64.
  const auto with = [](std::vector<uint64_t> dims, uint64_t offset) {
    return Changed([&](GgufWriter& f) {
      f.AddTensor("b.weight", dims, DType::kF32, std::string(256, '\0'));
      f.tensors[1].offset = offset;
    });
  };
  EXPECT_REFUSED(with({32, 2}, kMax - 31), "tensor \"b.weight\" needs 256 bytes");
  EXPECT_REFUSED(with({32, 2}, kMax - 255), "tensor \"b.weight\" needs 256 bytes");
  EXPECT_REFUSED(with({uint64_t{1} << 61}, 256), "tensor \"b.weight\" needs 9223372036854775808 bytes");
  EXPECT_REFUSED(with({uint64_t{1} << 62}, 256),
                 "tensor \"b.weight\" has a size in bytes that no 64-bit number holds");
  EXPECT_REFUSED(with({(uint64_t{1} << 61) - 1}, kTop), "tensor \"b.weight\" needs");
  EXPECT_REFUSED(with({(uint64_t{1} << 62) - 1}, 0), "tensor \"b.weight\" needs");
}

TEST(HostileModel, G7RefusesBadRowSizeOrType) {
  EXPECT_REFUSED(Changed([](GgufWriter& f) {
                   f.tensors[0].dims = {577, 2};
                   f.tensors[0].type = static_cast<uint32_t>(DType::kQ4_1);
                 }),
                 "row of 577, which is no multiple of 32");
  for (const uint32_t type : {4u, 5u, 200u, 1u << 31}) {
    const std::string message = Refusal(Changed([&](GgufWriter& f) { f.tensors[0].type = type; }));
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "type " + std::to_string(type) + ", which is not supported",
                        message);
    EXPECT_PRED_FORMAT2(testing::IsSubstring, "F32 F16 BF16 Q4_0", message);
  }
}

TEST(HostileModel, G8RefusesBadAlignment) {
  for (const uint32_t alignment : {0u, 13u, 4u, 1u << 31, 131'072u}) {
    EXPECT_REFUSED(Changed([&](GgufWriter& f) { f.SetUint32("general.alignment", alignment); }),
                   "key \"general.alignment\" is " + std::to_string(alignment) + ", expected a power of two");
  }
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.SetString("general.alignment", "32"); }),
                 "is string, expected an integer");
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.SetInt32("general.alignment", -32); }),
                 "expected no negative number");
  for (const uint32_t alignment : {8u, 64u, 65'536u}) {
    const TempFile file(Changed([&](GgufWriter& f) {
      f.SetUint32("general.alignment", alignment);
      f.alignment = alignment;
    }));
    EXPECT_TRUE(ModelFile::Open(file.path()).has_value()) << alignment;
  }
}

TEST(HostileModel, G9RefusesBadOffsets) {
  const auto at = [](uint64_t offset) {
    return Changed([&](GgufWriter& f) {
      f.AddTensor("b.weight", {32, 2}, DType::kF32, std::string(256, '\0'));
      f.tensors[1].offset = offset;
    });
  };
  EXPECT_REFUSED(at(257),
                 "tensor \"b.weight\" has data offset 257, which is no multiple of the alignment 32");
  EXPECT_REFUSED(at(224), "tensor \"b.weight\" at byte ");
  EXPECT_REFUSED(at(224), "overlaps \"a.weight\"");
  EXPECT_REFUSED(at(0), "overlaps");
  EXPECT_REFUSED(at(288),
                 "tensor \"b.weight\" needs 256 bytes at data offset 288, but the file ends at byte ");
  EXPECT_REFUSED(at(uint64_t{1} << 40), "tensor \"b.weight\" needs");
}

TEST(HostileModel, G9RefusesAFileCutAnywhere) {
  const std::string whole = TinyModelFile().Build();
  for (size_t part = 0; part < 20; ++part) {
    const size_t bytes = whole.size() * part / 20;
    EXPECT_NE(Refusal(whole.substr(0, bytes)), "") << "cut at byte " << bytes;
  }
  // Every byte of header, metadata and directory, in a file small enough to try them all.
  const std::string small = Small().Build();
  for (size_t bytes = 0; bytes < small.size(); ++bytes) {
    EXPECT_NE(Refusal(small.substr(0, bytes)), "") << "cut at byte " << bytes;
  }
}

TEST(HostileModel, G9SurvivesAFileCutWhileItIsMapped) {
  const TempFile file(TinyModelFile().Build());
  const auto opened = ModelFile::Open(file.path());
  ASSERT_TRUE(opened.has_value());
  EXPECT_TRUE((*opened)->CheckUnchanged().ok());
  file.Truncate(4096);
  unsigned sum = 0;
  for (const TensorInfo& tensor : (*opened)->tensors()) {
    for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
  }
  EXPECT_EQ(sum, 0u);  // what is gone reads as zeros
  const Status changed = (*opened)->CheckUnchanged();
  EXPECT_EQ(changed.code(), StatusCode::kDataLoss);
  EXPECT_PRED_FORMAT2(testing::IsSubstring, "file changed while being read", changed.message());
}

TEST(HostileModel, G9NoticesAFileRewrittenWhileItIsMapped) {
  const std::string bytes = TinyModelFile().Build();
  const TempFile file(bytes);
  const auto opened = ModelFile::Open(file.path());
  ASSERT_TRUE(opened.has_value());
  file.Rewrite(std::string(bytes.size(), 'x'));
  EXPECT_EQ((*opened)->CheckUnchanged().code(), StatusCode::kDataLoss);
}

// What no case above thought of: thousands of damaged files, each opened or refused, none the end of the process. What
// opens must be readable to its last byte.
TEST(HostileModel, G9SurvivesRandomDamage) {
  GgufWriter writer = Small();
  writer.SetStringArray("tokenizer.ggml.tokens", {"a", "bc", ""});
  writer.SetInt32Array("tokenizer.ggml.token_type", {1, 1, 3});
  writer.SetUint32("general.alignment", 32);
  writer.AddTensor("b.weight", {32}, DType::kF32, std::string(128, '\0'));
  const std::string whole = writer.Build();
  const size_t directory_end = whole.size() - 128 - 256;
  Rng rng(20260101);
  int opened_files = 0;
  for (int i = 0; i < 4000; ++i) {
    std::string bytes = whole;
    for (uint64_t changes = 1 + rng.NextBelow(3); changes > 0; --changes) {
      constexpr char kBytes[] = {'\0', '\1', '\x7f', '\x80', '\xff'};
      bytes[rng.NextBelow(directory_end)] = kBytes[rng.NextBelow(5)];
    }
    const TempFile file(bytes);
    const auto opened = ModelFile::Open(file.path());
    if (!opened.has_value()) continue;
    ++opened_files;
    unsigned sum = 0;
    for (const TensorInfo& tensor : (*opened)->tensors()) {
      for (const std::byte byte : tensor.data) sum += static_cast<unsigned>(byte);
    }
    for (const MetadataEntry& entry : (*opened)->metadata()) {
      (void)(*opened)->GetUint(entry.key);
      (void)(*opened)->GetFloat(entry.key);
      (void)(*opened)->GetStringArray(entry.key);
      (void)(*opened)->GetIntArray(entry.key);
    }
    EXPECT_LT(sum, 1u << 20);
  }
  EXPECT_GT(opened_files, 0);  // otherwise the damage never got as far as the data
}

TEST(HostileModel, G14RefusesAPartWhoseSiblingsCannotBeFound) {
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.SetUint32("split.count", 3); }),
                 "part 1 of 3 of a split model");
  EXPECT_REFUSED(Changed([](GgufWriter& f) { f.SetString("split.count", "../../etc/passwd"); }),
                 "expected an integer");
  const TempFile whole(Changed([](GgufWriter& f) { f.SetUint32("split.count", 1); }));
  EXPECT_TRUE(ModelFile::Open(whole.path()).has_value());
}

}  // namespace
}  // namespace weir
