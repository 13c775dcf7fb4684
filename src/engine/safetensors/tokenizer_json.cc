#include "engine/safetensors/tokenizer_json.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/utf8.h"

namespace weir {
namespace {

constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;
constexpr std::string_view kSpelledSpace = "\xE2\x96\x81";

// The patterns that cut text, by the names that GGUF gives them.
constexpr std::pair<std::string_view, std::string_view> kPatterns[] = {
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "dbrx"},
    {R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)",
     "qwen2"},
    {R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)", "gpt-2"},
};

bool Exists(const std::string& path) {
  struct stat info {};
  return stat(path.c_str(), &info) == 0;
}

std::string TypeOf(const Json& value) { return JsonString(FindJson(value, {"type"})).value_or(""); }

const Json* Present(const Json& value, std::string_view key) {
  const Json* found = FindJson(value, {key});
  return found == nullptr || found->is_null() ? nullptr : found;
}

// The parts of a Sequence, or the one that is none.
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

bool Flag(const Json& value, std::string_view key) {
  const Json* found = FindJson(value, {key});
  return found != nullptr && found->is_boolean() && found->get<bool>();
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
    if (!type.empty() && type != "BPE")
      return Lacks(fmt::format("model of type \"{}\"; weir knows BPE", QuoteForMessage(type)));
    WEIR_RETURN_IF_ERROR(ReadNormalizer());
    WEIR_RETURN_IF_ERROR(ReadPreTokenizer());
    if (Flag(*model, "ignore_merges") && pre_ == "dbrx") pre_ = "llama-bpe";
    WEIR_RETURN_IF_ERROR(ReadVocabulary(*model));
    WEIR_RETURN_IF_ERROR(ReadAddedTokens());
    WEIR_RETURN_IF_ERROR(ReadMerges(*model));
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

  Status ReadNormalizer() {
    for (const Json* part : PartsOf(Present(root_, "normalizer"), "normalizers")) {
      const std::string type = TypeOf(*part);
      const std::string pattern = JsonString(FindJson(*part, {"pattern", "String"})).value_or("");
      if (type == "NFC") {
        composes_ = true;
      } else if (type == "Replace" && pattern == " " &&
                 JsonString(FindJson(*part, {"content"})) == std::string(kSpelledSpace)) {
        spells_spaces_ = true;
      } else if (type == "Prepend" &&
                 JsonString(FindJson(*part, {"prepend"})) == std::string(kSpelledSpace)) {
        prefix_ = true;
      } else {
        return Lacks(fmt::format(
            "normalizer \"{}\" with these settings is not known (known: NFC, Prepend and Replace of "
            "spaces)",
            QuoteForMessage(type)));
      }
    }
    return OkStatus();
  }

  Status ReadPattern(const Json& part) {
    const std::string behavior = JsonString(FindJson(part, {"behavior"})).value_or("");
    if (const auto text = JsonString(FindJson(part, {"pattern", "String"})); text.has_value()) {
      // Gemma splits at spaces when none is left.
      if (*text == " " && spells_spaces_) return OkStatus();
      return Lacks(fmt::format("pre-tokenizer Split at \"{}\" is not known", QuoteForMessage(*text)));
    }
    const std::string pattern = JsonString(FindJson(part, {"pattern", "Regex"})).value_or("");
    if (behavior == "Isolated" || (behavior == "Removed" && Flag(part, "invert")))
      for (const auto& [text, name] : kPatterns)
        if (text == pattern) {
          pre_ = name;
          return OkStatus();
        }
    return Lacks(fmt::format("pre-tokenizer Split by the pattern \"{}\" ({}) is not known",
                             QuoteForMessage(pattern), QuoteForMessage(behavior)));
  }

  Status ReadPreTokenizer() {
    bool digits = false, bytes = false;
    for (const Json* part : PartsOf(Present(root_, "pre_tokenizer"), "pretokenizers")) {
      const std::string type = TypeOf(*part);
      if (type == "Split") {
        WEIR_RETURN_IF_ERROR(ReadPattern(*part));
      } else if (type == "Digits" && Flag(*part, "individual_digits")) {
        digits = true;
      } else if (type == "ByteLevel") {
        if (Flag(*part, "add_prefix_space")) return Lacks("ByteLevel with add_prefix_space is not known");
        bytes = true;
        const Json* regex = FindJson(*part, {"use_regex"});
        if ((regex == nullptr || *regex != false) && pre_.empty()) pre_ = digits ? "smollm" : "gpt-2";
      } else if (type == "Metaspace") {
        WEIR_RETURN_IF_ERROR(ReadMetaspace(*part));
      } else {
        return Lacks(
            fmt::format("pre-tokenizer \"{}\" is not known (known: Split, Digits, ByteLevel, Metaspace)",
                        QuoteForMessage(type)));
      }
    }
    if (bytes == spells_spaces_)
      return Lacks(
          "a vocabulary is either of bytes (ByteLevel) or of characters with spaces as U+2581; this one is "
          "neither");
    if (bytes && pre_.empty()) return Lacks("ByteLevel without a pattern is not known");
    if (digits && bytes && pre_ != "smollm") return Lacks("Digits beside another pattern is not known");
    is_byte_level_ = bytes;
    return OkStatus();
  }

  Status ReadMetaspace(const Json& part) {
    if (Flag(part, "split") || FindJson(part, {"split"}) == nullptr)
      return Lacks("Metaspace that splits is not known");
    spells_spaces_ = true;
    const std::string scheme = JsonString(FindJson(part, {"prepend_scheme"})).value_or("always");
    prefix_ = scheme != "never";
    only_first_ = scheme == "first";
    unless_there_ = true;
    return OkStatus();
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

  Status ReadVocabulary(const Json& model) {
    const Json* vocab = FindJson(model, {"vocab"});
    if (vocab == nullptr || !vocab->is_object()) return Bad("has no object \"model.vocab\"");
    for (uint32_t id = 0; id < vocab_size_; ++id) tokens_.push_back(fmt::format("[PAD{}]", id));
    types_.assign(vocab_size_, kUnused);
    const bool bytes = Flag(model, "byte_fallback");
    for (const auto& [text, id] : vocab->items()) {
      if (!id.is_number_integer())
        return Bad(fmt::format("token \"{}\" has no whole number", QuoteForMessage(text)));
      const bool is_byte = bytes && text.size() == 6 && text.starts_with("<0x") && text.back() == '>';
      WEIR_RETURN_IF_ERROR(Put(id.get<int64_t>(), text, is_byte ? kByte : kNormal));
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
      if (Flag(token, "single_word"))
        return Lacks(fmt::format("added token \"{}\" is a single word", QuoteForMessage(*text)));
      WEIR_RETURN_IF_ERROR(Put(number, *text,
                               text == unknown_         ? kUnknown
                               : Flag(token, "special") ? kControl
                                                        : kUserDefined));
      if (number >= int64_t{vocab_size_}) continue;
      if (Flag(token, "lstrip")) strips_left_.push_back(static_cast<int32_t>(number));
      if (Flag(token, "rstrip")) strips_right_.push_back(static_cast<int32_t>(number));
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
    out_->SetString("tokenizer.ggml.model", is_byte_level_ ? "gpt2" : "llama");
    out_->SetString("tokenizer.ggml.pre", is_byte_level_ ? pre_ : "default");
    out_->SetStrings("tokenizer.ggml.tokens", tokens_);
    out_->SetInt32s("tokenizer.ggml.token_type", types_);
    out_->SetStrings("tokenizer.ggml.merges", merges_);
    out_->SetInt32s("tokenizer.weir.strips_left", strips_left_);
    out_->SetInt32s("tokenizer.weir.strips_right", strips_right_);
    if (!is_byte_level_) {
      out_->SetBool("tokenizer.ggml.add_space_prefix", prefix_);
      out_->SetBool("tokenizer.weir.space_prefix_only_first", only_first_);
      out_->SetBool("tokenizer.weir.space_prefix_unless_there", unless_there_);
    }
    if (composes_) out_->SetBool("tokenizer.weir.composes", true);
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
  bool composes_ = false;
  bool spells_spaces_ = false;
  bool prefix_ = false;
  bool only_first_ = false;
  bool unless_there_ = false;
  bool is_byte_level_ = false;
  std::string pre_;
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
