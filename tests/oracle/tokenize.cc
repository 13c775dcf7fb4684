// Answers questions about a tokenizer, for a script to compare: tokenize MODEL [VOCABULARY].
//
// MODEL is a GGUF file or a directory with tokenizer.json, of a model with that many tokens. Each line of the input is
// [special, text] (special 1: special tokens of the text count), each line of the output [ids, decoded, decoded without
// special tokens] or {"error": ...}. A line {"decode": ids} is answered with [decoded, decoded without special tokens], a line
// {"time": unit, "bytes": n} with the milliseconds that encoding n bytes of it takes, the best of five times.
#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "base/json.h"
#include "engine/gguf/metadata_writer.h"
#include "engine/gguf/model_file.h"
#include "engine/safetensors/tokenizer_json.h"
#include "engine/tokenizer/tokenizer.h"

namespace weir {
namespace {

Result<std::unique_ptr<ModelFile>> Open(const std::string& path, const char* vocabulary) {
  if (vocabulary == nullptr) return ModelFile::Open(path);
  MetadataWriter metadata;
  WEIR_RETURN_IF_ERROR(
      WriteTokenizer(path, static_cast<uint32_t>(std::strtoul(vocabulary, nullptr, 10)), &metadata));
  return ModelFile::Assemble(path, std::move(metadata.bytes()), metadata.num_keys(), {}, nullptr);
}

Result<Json> Time(const Tokenizer& tokenizer, const std::string& unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  double best = 0;
  for (int i = 0; i < 5; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    WEIR_ASSIGN_OR_RETURN(const auto ids, tokenizer.Encode(text, SpecialTokens::kAsText, false));
    const std::chrono::duration<double, std::milli> taken = std::chrono::steady_clock::now() - begin;
    if (i == 0 || taken.count() < best) best = taken.count();
  }
  return Json(best);
}

Result<Json> Answer(const Tokenizer& tokenizer, const std::string& line) {
  WEIR_ASSIGN_OR_RETURN(const Json question, ParseJson(line));
  if (const Json* unit = FindJson(question, {"time"}))
    return Time(tokenizer, unit->get<std::string>(), question["bytes"].get<size_t>());
  if (const Json* ids = FindJson(question, {"decode"})) {
    const auto list = ids->get<std::vector<TokenId>>();
    return Json{tokenizer.Decode(list, false), tokenizer.Decode(list, true)};
  }
  const auto special = question[0] == 1 ? SpecialTokens::kParse : SpecialTokens::kAsText;
  WEIR_ASSIGN_OR_RETURN(const auto ids, tokenizer.Encode(question[1].get<std::string>(), special, false));
  return Json{ids, tokenizer.Decode(ids, false), tokenizer.Decode(ids, true)};
}

Status Run(const std::string& path, const char* vocabulary) {
  WEIR_ASSIGN_OR_RETURN(const auto file, Open(path, vocabulary));
  WEIR_ASSIGN_OR_RETURN(const auto tokenizer, Tokenizer::Create(*file));
  for (std::string line; std::getline(std::cin, line);) {
    const Result<Json> answer = Answer(*tokenizer, line);
    std::cout << DumpJson(answer.has_value() ? *answer
                                             : Json{{"error", std::string(answer.error().message())}})
              << '\n';
  }
  return OkStatus();
}

}  // namespace
}  // namespace weir

int main(int argc, char** argv) {
  const weir::Status status = argc == 2 || argc == 3
                                  ? weir::Run(argv[1], argc == 3 ? argv[2] : nullptr)
                                  : weir::InvalidArgument("usage: tokenize MODEL [VOCABULARY]");
  if (!status.ok()) fmt::print(stderr, "{}\n", status.message());
  return status.ok() ? 0 : 1;
}
