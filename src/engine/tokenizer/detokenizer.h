// Token ids to text as they arrive: only whole UTF-8 characters come out, and no part of a stop string.
//
// Owns      at most one unfinished character plus the longest stop string
// Errors    none
// Threads   one object per request, on its io thread
//
// Add() joined over all tokens plus Finish() equals Decode() of all tokens, invalid bytes replaced by U+FFFD,
// and cut before the first stop string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/tokenizer/tokenizer.h"

namespace weir {

class Detokenizer {
 public:
  Detokenizer(const Tokenizer& tokenizer, std::vector<std::string> stop_strings, bool skip_special);

  // Text that may be sent now. After a stop string matched, stopped() is true and everything later is
  // dropped.
  std::string Add(TokenId id);
  // What was held back and is no stop string after all.
  std::string Finish();
  bool stopped() const { return stopped_; }
  const std::string& matched_stop() const { return matched_stop_; }

 private:
  std::string Release(bool final);

  const Tokenizer& tokenizer_;
  std::vector<std::string> stops_;
  bool skip_special_;
  std::string pending_bytes_;  // unfinished character
  std::string held_text_;      // could still begin a stop string
  std::string matched_stop_;
  bool stopped_ = false;
};

}  // namespace weir
