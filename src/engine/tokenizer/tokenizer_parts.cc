#include "engine/tokenizer/tokenizer_parts.h"

#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <span>
#include <string_view>
#include <utility>

#include "base/utf8.h"

namespace weir {
namespace {

constexpr std::string_view kModelKey = "tokenizer.ggml.model";
constexpr std::string_view kPreKey = "tokenizer.ggml.pre";
constexpr std::string_view kTokensKey = "tokenizer.ggml.tokens";
constexpr std::string_view kScoresKey = "tokenizer.ggml.scores";
constexpr std::string_view kTypesKey = "tokenizer.ggml.token_type";
constexpr std::string_view kMergesKey = "tokenizer.ggml.merges";
constexpr std::string_view kAddBosKey = "tokenizer.ggml.add_bos_token";

Status CountMismatch(std::string_view key, uint64_t found, uint64_t tokens) {
  return DataLoss(
      fmt::format("{} has {} entries but {} has {}; one per token is expected. Fetch the file again", key,
                  found, kTokensKey, tokens));
}

Result<std::vector<TokenType>> ReadTypes(const ModelFile& file, size_t num_tokens) {
  if (file.FindMetadata(kTypesKey) == nullptr) return std::vector<TokenType>(num_tokens, TokenType::kNormal);
  WEIR_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers, file.GetIntArray(kTypesKey));
  if (numbers.size() != num_tokens) return CountMismatch(kTypesKey, numbers.size(), num_tokens);
  std::vector<TokenType> types;
  types.reserve(numbers.size());
  for (size_t i = 0; i < numbers.size(); ++i) {
    if (numbers[i] < 1 || numbers[i] > 6) {
      return DataLoss(
          fmt::format("{}[{}] is {}, expected 1 to 6. Fetch the file again", kTypesKey, i, numbers[i]));
    }
    types.push_back(static_cast<TokenType>(numbers[i]));
  }
  return types;
}

Result<std::optional<uint64_t>> ReadId(const ModelFile& file, std::string_view key) {
  if (file.FindMetadata(key) == nullptr) return std::optional<uint64_t>();
  WEIR_ASSIGN_OR_RETURN(const uint64_t id, file.GetUint(key));
  return std::optional<uint64_t>(id);
}

Result<std::vector<uint64_t>> ReadIds(const ModelFile& file, std::string_view key, size_t num_tokens) {
  std::vector<uint64_t> ids;
  if (file.FindMetadata(key) == nullptr) return ids;
  WEIR_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers, file.GetIntArray(key));
  for (const int64_t number : numbers) {
    if (number < 0 || static_cast<uint64_t>(number) >= num_tokens)
      return DataLoss(fmt::format("{} names the token {}, but there are {}", key, number, num_tokens));
    ids.push_back(static_cast<uint64_t>(number));
  }
  return ids;
}

Result<std::string> ReadBytes(const ModelFile& file, std::string_view key) {
  WEIR_ASSIGN_OR_RETURN(const std::vector<int64_t> numbers, file.GetIntArray(key));
  std::string bytes;
  bytes.reserve(numbers.size());
  for (const int64_t number : numbers) {
    if (number < -128 || number > 255)
      return DataLoss(fmt::format("{} holds {}, expected bytes", key, number));
    bytes.push_back(static_cast<char>(number));
  }
  return bytes;
}

Status ReadCharsmap(const ModelFile& file, Spelling* spelling) {
  constexpr std::string_view kKey = "tokenizer.ggml.precompiled_charsmap";
  if (file.FindMetadata(kKey) == nullptr) return OkStatus();
  WEIR_ASSIGN_OR_RETURN(std::string bytes, ReadBytes(file, kKey));
  if (bytes.empty()) return OkStatus();
  WEIR_ASSIGN_OR_RETURN(spelling->charsmap, Charsmap::Create(std::move(bytes)));
  WEIR_ASSIGN_OR_RETURN(const bool graphemes, file.GetBoolOr("tokenizer.weir.charsmap_per_grapheme", false));
  if (graphemes) spelling->charsmap_match = Charsmap::Match::kPerGrapheme;
  return OkStatus();
}

// The keys beyond GGUF's come from tokenizer.json.
Status ReadSpelling(const ModelFile& file, TokenizerParts* parts) {
  Spelling& spelling = parts->spelling;
  WEIR_ASSIGN_OR_RETURN(spelling.composes, file.GetBoolOr("tokenizer.weir.composes", false));
  if (parts->kind == VocabularyKind::kByteLevel) return OkStatus();
  WEIR_ASSIGN_OR_RETURN(const bool prefix, file.GetBoolOr("tokenizer.ggml.add_space_prefix", true));
  WEIR_ASSIGN_OR_RETURN(const bool only_first,
                        file.GetBoolOr("tokenizer.weir.space_prefix_only_first", false));
  if (prefix) spelling.prefix = only_first ? SpacePrefix::kFirst : SpacePrefix::kEvery;
  WEIR_RETURN_IF_ERROR(ReadCharsmap(file, &spelling));
  // Only Unigram files carry it in earnest: files of merges say it although their merges were trained with the spaces.
  if (parts->kind == VocabularyKind::kUnigram) {
    WEIR_ASSIGN_OR_RETURN(spelling.collapses_spaces,
                          file.GetBoolOr("tokenizer.ggml.remove_extra_whitespaces", false));
    if (spelling.collapses_spaces) spelling.trims_left = spelling.trims_right = Trim::kSpaces;
  }
  const auto set = [&](std::string_view key, bool* value) -> Status {
    WEIR_ASSIGN_OR_RETURN(*value, file.GetBoolOr(key, *value));
    return OkStatus();
  };
  bool left = false, right = false;
  WEIR_RETURN_IF_ERROR(set("tokenizer.weir.trims_left", &left));
  WEIR_RETURN_IF_ERROR(set("tokenizer.weir.trims_right", &right));
  if (left) spelling.trims_left = Trim::kWhiteSpace;
  if (right) spelling.trims_right = Trim::kWhiteSpace;
  WEIR_RETURN_IF_ERROR(set("tokenizer.weir.collapses_spaces", &spelling.collapses_spaces));
  WEIR_RETURN_IF_ERROR(set("tokenizer.weir.splits_at_white_space", &spelling.splits_at_white_space));
  WEIR_RETURN_IF_ERROR(set("tokenizer.weir.space_prefix_unless_there", &spelling.prefix_unless_there));
  WEIR_RETURN_IF_ERROR(set("tokenizer.weir.splits_words", &spelling.splits_words));
  return set("tokenizer.weir.drops_first_spaces", &spelling.drops_first_spaces);
}

Status ReadScores(const ModelFile& file, TokenizerParts* parts) {
  // tokenizer.json has them as doubles, whose bits stand here.
  constexpr std::string_view kExact = "tokenizer.weir.score_bits";
  if (file.FindMetadata(kExact) != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const std::vector<int64_t> bits, file.GetIntArray(kExact));
    for (const int64_t one : bits) parts->scores.push_back(std::bit_cast<double>(one));
  } else {
    WEIR_ASSIGN_OR_RETURN(const std::vector<float> scores, file.GetFloatArray(kScoresKey));
    parts->scores.assign(scores.begin(), scores.end());
  }
  for (size_t i = 0; i < parts->scores.size(); ++i)
    if (!std::isfinite(parts->scores[i]))
      return DataLoss(fmt::format("{}[{}] is not a finite number. Fetch the file again", kScoresKey, i));
  return OkStatus();
}

// What is done to a text before it is cut and merged. The keys beyond GGUF's come from tokenizer.json.
Status ReadRules(const ModelFile& file, TokenizerParts* parts) {
  WEIR_RETURN_IF_ERROR(ReadSpelling(file, parts));
  if (file.FindMetadata("tokenizer.weir.whole_piece_first") != nullptr) {
    WEIR_ASSIGN_OR_RETURN(parts->whole_piece_first,
                          file.GetBoolOr("tokenizer.weir.whole_piece_first", false));
  }
  WEIR_ASSIGN_OR_RETURN(parts->fuses_unknown, file.GetBoolOr("tokenizer.weir.fuses_unknown", false));
  const size_t tokens = parts->tokens.size();
  WEIR_ASSIGN_OR_RETURN(parts->strips_left, ReadIds(file, "tokenizer.weir.strips_left", tokens));
  WEIR_ASSIGN_OR_RETURN(parts->strips_right, ReadIds(file, "tokenizer.weir.strips_right", tokens));
  WEIR_ASSIGN_OR_RETURN(parts->other_end_ids, ReadIds(file, "tokenizer.weir.end_ids", tokens));
  WEIR_ASSIGN_OR_RETURN(parts->unknown, ReadId(file, "tokenizer.ggml.unknown_token_id"));
  return OkStatus();
}

}  // namespace

Result<TokenizerParts> TokenizerParts::Read(const ModelFile& file) {
  WEIR_ASSIGN_OR_RETURN(const std::string_view model, file.GetString(kModelKey));
  if (model != "gpt2" && model != "llama" && model != "t5") {
    return Unimplemented(
        fmt::format("{} is \"{}\", which weir lacks; known: gpt2 (byte-level BPE), llama (SentencePiece "
                    "BPE), t5 (SentencePiece Unigram). Use a model with one of them",
                    kModelKey, QuoteForMessage(model)));
  }
  TokenizerParts parts;
  if (model == "llama") parts.kind = VocabularyKind::kSentencePiece;
  if (model == "t5") parts.kind = VocabularyKind::kUnigram;
  WEIR_ASSIGN_OR_RETURN(const std::span<const std::string_view> tokens, file.GetStringArray(kTokensKey));
  parts.tokens.assign(tokens.begin(), tokens.end());
  WEIR_ASSIGN_OR_RETURN(parts.types, ReadTypes(file, tokens.size()));
  if (const MetadataEntry* scores = file.FindMetadata(kScoresKey);
      scores != nullptr && scores->count != tokens.size()) {
    return CountMismatch(kScoresKey, scores->count, tokens.size());
  }
  const bool has_merges = parts.kind != VocabularyKind::kUnigram && file.FindMetadata(kMergesKey) != nullptr;
  if (has_merges || parts.kind == VocabularyKind::kByteLevel) {
    WEIR_ASSIGN_OR_RETURN(const std::span<const std::string_view> merges, file.GetStringArray(kMergesKey));
    parts.merges.assign(merges.begin(), merges.end());
  } else {
    WEIR_RETURN_IF_ERROR(ReadScores(file, &parts));
  }
  WEIR_RETURN_IF_ERROR(ReadRules(file, &parts));
  if (file.FindMetadata(kPreKey) != nullptr) {
    WEIR_ASSIGN_OR_RETURN(const std::string_view pre, file.GetString(kPreKey));
    parts.pre_tokenizer = pre;
  }
  WEIR_ASSIGN_OR_RETURN(parts.bos, ReadId(file, "tokenizer.ggml.bos_token_id"));
  WEIR_ASSIGN_OR_RETURN(parts.eos, ReadId(file, "tokenizer.ggml.eos_token_id"));
  for (const std::string_view key : {"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"}) {
    WEIR_ASSIGN_OR_RETURN(const std::optional<uint64_t> id, ReadId(file, key));
    if (id.has_value()) parts.other_end_ids.push_back(*id);
  }
  if (file.FindMetadata(kAddBosKey) != nullptr) {
    WEIR_ASSIGN_OR_RETURN(parts.add_bos, file.GetBoolOr(kAddBosKey, false));
  }
  return parts;
}

}  // namespace weir
