#include "engine/safetensors/tokenizer_rules.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr std::string_view kSpelledSpace = "\xE2\x96\x81";

// The patterns that cut text, by the names that GGUF gives them.
constexpr std::pair<std::string_view, std::string_view> kPatterns[] = {
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "dbrx"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2"},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "tekken"},
    {R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "gpt-4o"},
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "gpt-2"},
};

// The bytes that base64 spells, nothing if it spells none.
std::optional<std::string> FromBase64(std::string_view text) {
  constexpr std::string_view kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int num_bits = 0;
  for (const char c : text) {
    const size_t value = kAlphabet.find(c);
    if (value == std::string_view::npos) return std::nullopt;
    bits = (bits << 6) | static_cast<uint32_t>(value);
    num_bits += 6;
    if (num_bits < 8) continue;
    num_bits -= 8;
    bytes.push_back(static_cast<char>((bits >> num_bits) & 0xFF));
  }
  return bytes;
}

class RulesReader {
 public:
  explicit RulesReader(const Json& root) : root_(root) {}

  Result<TokenizerRules> Read() {
    WEIR_RETURN_IF_ERROR(ReadNormalizers());
    WEIR_RETURN_IF_ERROR(ReadPreTokenizers());
    WEIR_RETURN_IF_ERROR(ReadDecoder());
    return std::move(rules_);
  }

 private:
  // Steps apply in one order; a file that has them in another means something else.
  Status InOrder(int step) {
    if (step < last_step_) return Unimplemented("these normalizers in this order are not known");
    last_step_ = step;
    return OkStatus();
  }

  Status ReadNormalizers() {
    for (const Json* part : PartsOf(Present(root_, "normalizer"), "normalizers"))
      WEIR_RETURN_IF_ERROR(ReadNormalizer(*part));
    return OkStatus();
  }

  Status ReadNormalizer(const Json& part) {
    const std::string type = TypeOf(part);
    const auto content = JsonString(FindJson(part, {"content"}));
    if (type == "NFC") {
      rules_.composes = true;
      return InOrder(1);
    }
    if (type == "Precompiled") {
      const auto spelled = JsonString(Present(part, "precompiled_charsmap"));
      const auto bytes = FromBase64(spelled.value_or(""));
      if (!bytes.has_value()) return DataLoss("\"precompiled_charsmap\" is not base64");
      rules_.charsmap = *bytes;
      return InOrder(2);
    }
    if (type == "Strip") {
      rules_.trims_left = rules_.trims_left || JsonFlag(part, "strip_left");
      rules_.trims_right = rules_.trims_right || JsonFlag(part, "strip_right");
      return InOrder(3);
    }
    if (type == "Replace" && JsonString(FindJson(part, {"pattern", "Regex"})) == " {2,}" &&
        (content == " " || content == std::string(kSpelledSpace))) {
      rules_.collapses_spaces = true;
      collapses_to_spelled_ = content != " ";
      return InOrder(4);
    }
    if (type == "Replace" && JsonString(FindJson(part, {"pattern", "String"})) == " " &&
        content == std::string(kSpelledSpace)) {
      spells_spaces_ = true;
      return InOrder(5);
    }
    if (type == "Prepend" && JsonString(FindJson(part, {"prepend"})) == std::string(kSpelledSpace)) {
      rules_.prefix = true;
      return InOrder(5);
    }
    return Unimplemented(fmt::format(
        "normalizer \"{}\" with these settings is not known (known: NFC, Precompiled, Strip, Prepend "
        "and Replace of spaces)",
        QuoteForMessage(type)));
  }

  Status ReadPattern(const Json& part) {
    const std::string behavior = JsonString(FindJson(part, {"behavior"})).value_or("");
    if (const auto text = JsonString(FindJson(part, {"pattern", "String"})); text.has_value()) {
      // Gemma splits at spaces when none is left.
      if (*text == " " && spells_spaces_) return OkStatus();
      return Unimplemented(fmt::format("pre-tokenizer Split at \"{}\" is not known", QuoteForMessage(*text)));
    }
    const std::string pattern = JsonString(FindJson(part, {"pattern", "Regex"})).value_or("");
    const bool inverted = JsonFlag(part, "invert");
    if (rules_.pre.empty() && ((behavior == "Isolated" && !inverted) || (behavior == "Removed" && inverted)))
      for (const auto& [text, name] : kPatterns)
        if (text == pattern) {
          rules_.pre = name;
          return OkStatus();
        }
    return Unimplemented(fmt::format("pre-tokenizer Split by the pattern \"{}\" ({}) is not known",
                                     QuoteForMessage(pattern), QuoteForMessage(behavior)));
  }

  Status ReadPreTokenizers() {
    bool digits = false, bytes = false;
    for (const Json* part : PartsOf(Present(root_, "pre_tokenizer"), "pretokenizers")) {
      const std::string type = TypeOf(*part);
      if (type == "Split") {
        WEIR_RETURN_IF_ERROR(ReadPattern(*part));
      } else if (type == "Digits" && JsonFlag(*part, "individual_digits")) {
        digits = true;
      } else if (type == "ByteLevel") {
        if (JsonFlag(*part, "add_prefix_space"))
          return Unimplemented("ByteLevel with add_prefix_space is not known");
        bytes = true;
        const Json* regex = FindJson(*part, {"use_regex"});
        const bool cuts = regex == nullptr || *regex != false;
        if (cuts && !rules_.pre.empty())
          return Unimplemented("ByteLevel with its own pattern after another is not known");
        if (cuts) rules_.pre = digits ? "smollm" : "gpt-2";
      } else if (type == "WhitespaceSplit" && !spells_spaces_) {
        rules_.splits_at_white_space = true;
      } else if (type == "Metaspace") {
        WEIR_RETURN_IF_ERROR(ReadMetaspace(*part));
      } else {
        return Unimplemented(
            fmt::format("pre-tokenizer \"{}\" is not known here (known: Split, Digits, ByteLevel, "
                        "WhitespaceSplit, Metaspace)",
                        QuoteForMessage(type)));
      }
    }
    if (bytes == spells_spaces_)
      return Unimplemented(
          "a vocabulary is either of bytes (ByteLevel) or of characters with spaces as U+2581; this one is "
          "neither");
    if (bytes && rules_.pre.empty()) return Unimplemented("ByteLevel without a pattern is not known");
    if (digits && rules_.pre != "smollm") return Unimplemented("Digits beside another pattern is not known");
    if (bytes && (last_step_ > 1 || rules_.splits_at_white_space))
      return Unimplemented("ByteLevel beside these normalizers and pre-tokenizers is not known");
    if (rules_.splits_at_white_space && (rules_.prefix_only_first || collapses_to_spelled_))
      return Unimplemented("WhitespaceSplit beside these normalizers and pre-tokenizers is not known");
    rules_.is_byte_level = bytes;
    return OkStatus();
  }

  Status ReadMetaspace(const Json& part) {
    if (rules_.prefix || spells_spaces_)
      return Unimplemented("Metaspace after another of its kind is not known");
    const Json* splits = FindJson(part, {"split"});
    rules_.splits_words = splits == nullptr || *splits != false;
    spells_spaces_ = true;
    rules_.prefix = PrependScheme(part) != "never";
    rules_.prefix_only_first = PrependScheme(part) == "first";
    rules_.prefix_unless_there = true;
    return OkStatus();
  }

  // Old files have a flag instead of a scheme.
  static std::string PrependScheme(const Json& part) {
    const Json* old = FindJson(part, {"add_prefix_space"});
    const std::string otherwise = old != nullptr && *old == false ? "never" : "always";
    return JsonString(FindJson(part, {"prepend_scheme"})).value_or(otherwise);
  }

  Status ReadDecoder() {
    for (const Json* part : PartsOf(Present(root_, "decoder"), "decoders")) {
      const std::string type = TypeOf(*part);
      if (type == "Metaspace") {
        rules_.drops_first_spaces = PrependScheme(*part) != "never";
      } else if (type != "ByteLevel" && type != "Replace" && type != "ByteFallback" && type != "Fuse" &&
                 type != "Strip") {
        return Unimplemented(fmt::format(
            "decoder \"{}\" is not known (known: ByteLevel, Metaspace, Replace, ByteFallback, Fuse, Strip)",
            QuoteForMessage(type)));
      }
    }
    return OkStatus();
  }

  const Json& root_;
  TokenizerRules rules_;
  int last_step_ = 0;
  bool spells_spaces_ = false;
  bool collapses_to_spelled_ = false;
};

}  // namespace

std::string TypeOf(const Json& value) { return JsonString(FindJson(value, {"type"})).value_or(""); }

const Json* Present(const Json& value, std::string_view key) {
  const Json* found = FindJson(value, {key});
  return found == nullptr || found->is_null() ? nullptr : found;
}

std::vector<const Json*> PartsOf(const Json* value, std::string_view list) {
  std::vector<const Json*> parts;
  if (value == nullptr) return parts;
  const Json* members = TypeOf(*value) == "Sequence" ? FindJson(*value, {list}) : nullptr;
  if (members == nullptr || !members->is_array()) return {value};
  for (const Json& member : *members) {
    const auto inner = PartsOf(&member, list);
    parts.insert(parts.end(), inner.begin(), inner.end());
  }
  return parts;
}

bool JsonFlag(const Json& value, std::string_view key) {
  const Json* found = FindJson(value, {key});
  return found != nullptr && found->is_boolean() && found->get<bool>();
}

void TokenizerRules::Write(MetadataWriter* out) const {
  out->SetString("tokenizer.ggml.pre", is_byte_level ? pre : "default");
  out->SetBool("tokenizer.weir.composes", composes);
  if (is_byte_level) return;
  if (!charsmap.empty()) {
    out->SetBytes("tokenizer.ggml.precompiled_charsmap", charsmap);
    out->SetBool("tokenizer.weir.charsmap_per_grapheme", true);
  }
  out->SetBool("tokenizer.weir.trims_left", trims_left);
  out->SetBool("tokenizer.weir.trims_right", trims_right);
  out->SetBool("tokenizer.weir.collapses_spaces", collapses_spaces);
  out->SetBool("tokenizer.weir.splits_at_white_space", splits_at_white_space);
  out->SetBool("tokenizer.ggml.add_space_prefix", prefix);
  out->SetBool("tokenizer.weir.space_prefix_only_first", prefix_only_first);
  out->SetBool("tokenizer.weir.space_prefix_unless_there", prefix_unless_there);
  out->SetBool("tokenizer.weir.splits_words", splits_words);
  out->SetBool("tokenizer.weir.drops_first_spaces", drops_first_spaces);
}

Result<TokenizerRules> ReadTokenizerRules(const Json& root) { return RulesReader(root).Read(); }

}  // namespace weir
