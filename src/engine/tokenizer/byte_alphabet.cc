#include "engine/tokenizer/byte_alphabet.h"

#include <array>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr int32_t kAlphabetEnd = 0x144;  // 256 + the 68 bytes that have no printable Latin-1 character

constexpr bool IsPrintable(int byte) {
  return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || (byte >= 0xAE && byte <= 0xFF);
}

constexpr std::array<int32_t, 256> MakeSpellings() {
  std::array<int32_t, 256> spellings{};
  int32_t next = 256;
  for (int byte = 0; byte < 256; ++byte) spellings[byte] = IsPrintable(byte) ? byte : next++;
  return spellings;
}

constexpr std::array<int32_t, 256> kSpellings = MakeSpellings();

constexpr std::array<int16_t, kAlphabetEnd> MakeBytes() {
  std::array<int16_t, kAlphabetEnd> bytes{};
  for (int16_t& byte : bytes) byte = -1;
  for (int byte = 0; byte < 256; ++byte) bytes[kSpellings[byte]] = static_cast<int16_t>(byte);
  return bytes;
}

constexpr std::array<int16_t, kAlphabetEnd> kBytes = MakeBytes();

}  // namespace

int32_t ByteSpelling(uint8_t byte) { return kSpellings[byte]; }

std::string BytesOfSpelling(std::string_view spelling) {
  std::string bytes;
  for (size_t position = 0; position < spelling.size();) {
    const int32_t code_point = NextCodePoint(spelling, &position);
    if (code_point < 0 || code_point >= kAlphabetEnd || kBytes[code_point] < 0) return std::string(spelling);
    bytes.push_back(static_cast<char>(kBytes[code_point]));
  }
  return bytes;
}

std::string SpellBytes(std::string_view bytes) {
  std::string spelling;
  for (const char byte : bytes) AppendUtf8(kSpellings[static_cast<uint8_t>(byte)], &spelling);
  return spelling;
}

}  // namespace weir
