#include "tests/support/tiny_vocabulary.h"

#include <set>
#include <string_view>

#include "base/check.h"
#include "base/utf8.h"
#include "tests/support/tiny_model.h"

namespace weir {
namespace {

bool StandsForItself(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
}

std::string CodePoint(int32_t code_point) {
  std::string out;
  AppendUtf8(code_point, &out);
  return out;
}

// Bytes without a printable character of their own get one from U+0100 on, in order; a space becomes U+0120.
std::vector<std::string> ByteTokens() {
  std::vector<std::string> out;
  for (int byte = 0; byte < 256; ++byte) {
    if (StandsForItself(byte)) out.push_back(CodePoint(byte));
  }
  for (int i = 0; out.size() < 256; ++i) out.push_back(CodePoint(0x100 + i));
  return out;
}

class MergeList {
 public:
  explicit MergeList(TinyVocabulary* out) : out_(out) {
    for (const std::string& token : out->tokens) known_.insert(token);
  }
  void Add(const std::string& left, const std::string& right) {
    if (out_->tokens.size() == kTinyVocabSize || !known_.insert(left + right).second) return;
    CHECK(known_.count(left) == 1 && known_.count(right) == 1);
    out_->tokens.push_back(left + right);
    out_->types.push_back(1);
    out_->merges.push_back(left + " " + right);
  }

 private:
  TinyVocabulary* out_;
  std::set<std::string> known_;
};

}  // namespace

TinyVocabulary MakeTinyVocabulary() {
  TinyVocabulary out;
  out.tokens = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
  out.types = {3, 3, 3};
  for (const std::string& token : ByteTokens()) {
    out.tokens.push_back(token);
    out.types.push_back(1);
  }
  const std::string space = CodePoint(0x120);
  constexpr std::string_view kFrequent = "etaoinshrdlu";
  constexpr std::string_view kVowels = "aeiou";
  MergeList merges(&out);
  merges.Add("h", "e");
  for (char letter = 'a'; letter <= 'z'; ++letter) merges.Add(space, std::string(1, letter));
  for (const char left : kFrequent) {
    for (const char right : kFrequent) merges.Add(std::string(1, left), std::string(1, right));
  }
  merges.Add(space + "t", "he");
  merges.Add(space + "a", "nd");
  merges.Add("in", "g");
  merges.Add(space, space);
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    for (const char vowel : kVowels) merges.Add(space + letter, std::string(1, vowel));
  }
  CHECK(out.tokens.size() == kTinyVocabSize);
  return out;
}

}  // namespace weir
