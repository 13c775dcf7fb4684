#include "engine/safetensors/tokenizer_json.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <bit>
#include <cmath>
#include <cstdlib>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"
#include "engine/safetensors/tokenizer_rules.h"

namespace weir {
namespace {

constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

bool Exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

// The library that defines the format reads a number as its digits times a power of ten, rounded twice, which can be the
// neighbour of the nearest double. It decides between pieces whose sums are equal but for rounding, such as ". .." and ".. .".
double AsTheLibraryReads(double value) {
  const std::string text = fmt::format("{}", std::fabs(value));
  uint64_t digits = 0;
  int exponent = 0;
  size_t at = 0;
  bool behind_point = false;
  for (; at < text.size() && text[at] != 'e'; ++at) {
    if (text[at] == '.') {
      behind_point = true;
      continue;
    }
    if (text[at] < '0' || text[at] > '9' || digits > (~uint64_t{0} - 9) / 10) return value;
    digits = digits * 10 + static_cast<uint64_t>(text[at] - '0');
    exponent -= behind_point ? 1 : 0;
  }
  if (at < text.size()) exponent += static_cast<int>(std::strtol(text.c_str() + at + 1, nullptr, 10));
  if (exponent < -300 || exponent > 300) return value;
  const double power = std::pow(10.0, std::abs(exponent));
  const auto number = static_cast<double>(digits);
  return std::copysign(exponent < 0 ? number / power : number * power, value);
}

class TokenizerReader {
 public:
  TokenizerReader(std::string directory, uint32_t vocab_size, MetadataWriter* out)
      : directory_(std::move(directory)),
        path_(directory_ + "/tokenizer.json"),
        vocab_size_(vocab_size),
        out_(out) {}

  Status Write() {
    WEIR_ASSIGN_OR_RETURN(root_, ReadJsonFile(path_));
    const Json* model = FindJson(root_, {"model"});
    if (model == nullptr || !model->is_object()) return Bad("has no object \"model\"");
    // Old files leave the type out.
    const std::string type = TypeOf(*model);
    if (!type.empty() && type != "BPE" && type != "Unigram")
      return Lacks(fmt::format("model of type \"{}\"; weir knows BPE and Unigram", QuoteForMessage(type)));
    is_unigram_ = type == "Unigram";
    if (auto rules = ReadTokenizerRules(root_); rules.has_value()) {
      rules_ = *std::move(rules);
    } else {
      return rules.error().code() == StatusCode::kUnimplemented ? Lacks(rules.error().message())
                                                                : Bad(rules.error().message());
    }
    if (is_unigram_ && rules_.is_byte_level) return Lacks("Unigram over bytes is not known");
    WEIR_RETURN_IF_ERROR(ReadModelRules(*model));
    WEIR_RETURN_IF_ERROR(is_unigram_ ? ReadPieces(*model) : ReadVocabulary(*model));
    WEIR_RETURN_IF_ERROR(ReadAddedTokens());
    if (!is_unigram_) WEIR_RETURN_IF_ERROR(ReadMerges(*model));
    WriteKeys();
    WEIR_RETURN_IF_ERROR(WriteEnds());
    return WriteTemplate();
  }

 private:
  Status Bad(const std::string& what) const {
    return DataLoss(fmt::format("{}: {}; the file is damaged or of another kind", path_, what));
  }
  Status Lacks(const std::string& what) const {
    return Unimplemented(fmt::format("{}: {}; use another model or a GGUF file of this one", path_, what));
  }

  Status Put(int64_t id, const std::string& text, int32_t type) {
    if (id < 0 || id >= (int64_t{1} << 24))
      return Bad(fmt::format("token \"{}\" has the id {}", QuoteForMessage(text), id));
    if (id >= int64_t{vocab_size_}) return OkStatus();  // the model has no row for it
    const auto at = static_cast<size_t>(id);
    if (types_[at] != kUnused && tokens_[at] != text)
      return Bad(fmt::format("the id {} belongs to \"{}\" and to \"{}\"", id, QuoteForMessage(tokens_[at]),
                             QuoteForMessage(text)));
    tokens_[at] = text;
    types_[at] = type;
    return OkStatus();
  }

  // What the model does beside merging and scoring.
  Status ReadModelRules(const Json& model) {
    for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"})
      if (!JsonString(FindJson(model, {affix})).value_or("").empty())
        return Lacks(fmt::format("a model with \"{}\" is not known", affix));
    if (const Json* dropout = Present(model, "dropout"); dropout != nullptr && *dropout != 0.0)
      return Lacks("a model that drops merges out is not known");
    whole_piece_first_ = JsonFlag(model, "ignore_merges");
    if (whole_piece_first_ && !rules_.is_byte_level)
      return Lacks("\"ignore_merges\" without ByteLevel is not known");
    fuses_unknown_ = JsonFlag(model, "fuse_unk");
    for (uint32_t id = 0; id < vocab_size_; ++id) tokens_.push_back(fmt::format("[PAD{}]", id));
    types_.assign(vocab_size_, kUnused);
    return OkStatus();
  }

  // [[piece, score], ...] in the order of their ids.
  Status ReadPieces(const Json& model) {
    const Json* vocab = FindJson(model, {"vocab"});
    if (vocab == nullptr || !vocab->is_array()) return Bad("has no list \"model.vocab\"");
    const bool bytes = JsonFlag(model, "byte_fallback");
    score_bits_.assign(vocab_size_, std::bit_cast<int64_t>(0.0));
    int64_t id = 0;
    for (const Json& piece : *vocab) {
      if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number())
        return Bad(fmt::format("piece {} is no text with a score", id));
      const auto text = piece[0].get<std::string>();
      WEIR_RETURN_IF_ERROR(Put(id, text, bytes && IsByteToken(text) ? kByte : kNormal));
      if (id < int64_t{vocab_size_})
        score_bits_[static_cast<size_t>(id)] =
            std::bit_cast<int64_t>(AsTheLibraryReads(piece[1].get<double>()));
      ++id;
    }
    if (const Json* unknown = Present(model, "unk_id"); unknown != nullptr) {
      if (!unknown->is_number_integer() || *unknown < 0 || *unknown >= id)
        return Bad("\"unk_id\" names no piece");
      unknown_ = (*vocab)[unknown->get<size_t>()][0].get<std::string>();
      WEIR_RETURN_IF_ERROR(Put(unknown->get<int64_t>(), *unknown_, kUnknown));
    }
    return OkStatus();
  }

  static bool IsByteToken(const std::string& text) {
    return text.size() == 6 && text.starts_with("<0x") && text.back() == '>';
  }

  Status ReadVocabulary(const Json& model) {
    const Json* vocab = FindJson(model, {"vocab"});
    if (vocab == nullptr || !vocab->is_object()) return Bad("has no object \"model.vocab\"");
    const bool bytes = JsonFlag(model, "byte_fallback");
    for (const auto& [text, id] : vocab->items()) {
      if (!id.is_number_integer())
        return Bad(fmt::format("token \"{}\" has no whole number", QuoteForMessage(text)));
      WEIR_RETURN_IF_ERROR(Put(id.get<int64_t>(), text, bytes && IsByteToken(text) ? kByte : kNormal));
    }
    unknown_ = JsonString(FindJson(model, {"unk_token"}));
    return OkStatus();
  }

  Status ReadAddedTokens() {
    const Json* added = Present(root_, "added_tokens");
    if (added == nullptr) return OkStatus();
    if (!added->is_array()) return Bad("\"added_tokens\" is no list");
    for (const Json& token : *added) {
      const auto text = JsonString(FindJson(token, {"content"}));
      const Json* id = FindJson(token, {"id"});
      if (!text.has_value() || id == nullptr || !id->is_number_integer())
        return Bad("an added token lacks id or content");
      const auto number = id->get<int64_t>();
      if (JsonFlag(token, "single_word"))
        return Lacks(fmt::format("added token \"{}\" is a single word", QuoteForMessage(*text)));
      WEIR_RETURN_IF_ERROR(Put(number, *text,
                               text == unknown_             ? kUnknown
                               : JsonFlag(token, "special") ? kControl
                                                            : kUserDefined));
      if (number >= int64_t{vocab_size_}) continue;
      if (JsonFlag(token, "lstrip")) strips_left_.push_back(static_cast<int32_t>(number));
      if (JsonFlag(token, "rstrip")) strips_right_.push_back(static_cast<int32_t>(number));
    }
    return OkStatus();
  }

  Status ReadMerges(const Json& model) {
    const Json* merges = FindJson(model, {"merges"});
    if (merges == nullptr || !merges->is_array()) return Bad("has no list \"model.merges\"");
    merges_.reserve(merges->size());
    for (const Json& merge : *merges) {
      if (merge.is_string()) {
        merges_.push_back(merge.get<std::string>());
      } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
        merges_.push_back(merge[0].get<std::string>() + " " + merge[1].get<std::string>());
      } else {
        return Bad(fmt::format("merge {} is no pair", merges_.size()));
      }
    }
    return OkStatus();
  }

  std::optional<uint32_t> Find(const std::string& text) const {
    for (size_t i = 0; i < tokens_.size(); ++i)
      if (tokens_[i] == text && types_[i] != kUnused) return static_cast<uint32_t>(i);
    return std::nullopt;
  }

  void WriteKeys() {
    out_->SetString("tokenizer.ggml.model", rules_.is_byte_level ? "gpt2" : is_unigram_ ? "t5" : "llama");
    out_->SetStrings("tokenizer.ggml.tokens", tokens_);
    out_->SetInt32s("tokenizer.ggml.token_type", types_);
    if (is_unigram_) {
      out_->SetInt64s("tokenizer.weir.score_bits", score_bits_);
    } else {
      out_->SetStrings("tokenizer.ggml.merges", merges_);
    }
    out_->SetInt32s("tokenizer.weir.strips_left", strips_left_);
    out_->SetInt32s("tokenizer.weir.strips_right", strips_right_);
    out_->SetBool("tokenizer.weir.whole_piece_first", whole_piece_first_);
    out_->SetBool("tokenizer.weir.fuses_unknown", fuses_unknown_);
    rules_.Write(out_);
    if (unknown_.has_value())
      if (const auto id = Find(*unknown_)) out_->SetUint32("tokenizer.ggml.unknown_token_id", *id);
  }

  // A text, or an object that holds it.
  static std::optional<std::string> TokenText(const Json* value) {
    if (value != nullptr && value->is_object()) value = FindJson(*value, {"content"});
    return JsonString(value);
  }

  // Whether encoding begins with bos is what the post-processor says.
  bool BeginsWith(const std::string& bos) const {
    for (const Json* part : PartsOf(Present(root_, "post_processor"), "processors")) {
      const Json* single = FindJson(*part, {"single"});
      if (single == nullptr || !single->is_array() || single->empty()) continue;
      if (JsonString(FindJson(single->front(), {"SpecialToken", "id"})) == bos) return true;
    }
    return false;
  }

  Result<Json> ReadBeside(const char* name) const {
    const std::string path = directory_ + "/" + name;
    if (!Exists(path)) return Json::object();
    WEIR_ASSIGN_OR_RETURN(Json value, ReadJsonFile(path));
    if (!value.is_object()) return DataLoss(fmt::format("{}: expected an object", path));
    return value;
  }

  Status WriteEnds() {
    WEIR_ASSIGN_OR_RETURN(config_, ReadBeside("tokenizer_config.json"));
    WEIR_ASSIGN_OR_RETURN(const Json generation, ReadBeside("generation_config.json"));
    WEIR_ASSIGN_OR_RETURN(const Json model, ReadBeside("config.json"));
    bool begins = false;
    if (const auto bos = TokenText(Present(config_, "bos_token")); bos.has_value()) {
      begins = BeginsWith(*bos);
      if (const auto id = Find(*bos)) out_->SetUint32("tokenizer.ggml.bos_token_id", *id);
    }
    out_->SetBool("tokenizer.ggml.add_bos_token", begins);
    if (const auto eos = TokenText(Present(config_, "eos_token")); eos.has_value())
      if (const auto id = Find(*eos)) out_->SetUint32("tokenizer.ggml.eos_token_id", *id);
    const Json* ends = Present(generation, "eos_token_id");
    if (ends == nullptr) ends = Present(model, "eos_token_id");
    std::vector<int32_t> ids;
    if (ends != nullptr)
      for (const Json& end : ends->is_array() ? *ends : Json::array({*ends})) {
        if (!end.is_number_integer() || end < 0 || end >= vocab_size_)
          return DataLoss(fmt::format("{}: eos_token_id names {}, expected tokens below {}", directory_,
                                      QuoteForMessage(DumpJson(end)), vocab_size_));
        ids.push_back(end.get<int32_t>());
      }
    out_->SetInt32s("tokenizer.weir.end_ids", ids);
    return OkStatus();
  }

  Status WriteTemplate() const {
    const std::string path = directory_ + "/chat_template.jinja";
    if (Exists(path)) {
      WEIR_ASSIGN_OR_RETURN(const std::string text, ReadFile(path, uint64_t{1} << 22));
      out_->SetString("tokenizer.chat_template", text);
      return OkStatus();
    }
    const Json* value = Present(config_, "chat_template");
    if (value == nullptr) return OkStatus();
    // Several by name: the default one.
    if (value->is_array()) {
      for (const Json& named : *value)
        if (JsonString(FindJson(named, {"name"})) == "default") value = FindJson(named, {"template"});
    }
    if (const auto text = JsonString(value)) out_->SetString("tokenizer.chat_template", *text);
    return OkStatus();
  }

  std::string directory_;
  std::string path_;
  uint32_t vocab_size_;
  MetadataWriter* out_;
  Json root_;
  Json config_;
  TokenizerRules rules_;
  bool is_unigram_ = false;
  bool whole_piece_first_ = false;
  bool fuses_unknown_ = false;
  std::vector<int64_t> score_bits_;
  std::optional<std::string> unknown_;
  std::vector<std::string> tokens_;
  std::vector<int32_t> types_;
  std::vector<std::string> merges_;
  std::vector<int32_t> strips_left_;
  std::vector<int32_t> strips_right_;
};

}  // namespace

Status WriteTokenizer(const std::string& directory, uint32_t vocab_size, MetadataWriter* out) {
  if (!Exists(directory + "/tokenizer.json")) {
    for (const char* other : {"tokenizer.model", "vocab.json"})
      if (Exists(directory + "/" + other))
        return Unimplemented(
            fmt::format("{}: has {} but no tokenizer.json; make one with transformers' "
                        "AutoTokenizer.from_pretrained and save_pretrained",
                        directory, other));
    return OkStatus();
  }
  return TokenizerReader(directory, vocab_size, out).Write();
}

}  // namespace weir
