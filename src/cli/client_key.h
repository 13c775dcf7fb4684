// The API key of a command that is a client. It comes from the environment: a flag would show in the process list.
#pragma once

#include <cstdlib>
#include <string>

namespace weir {

// $WEIR_API_KEY, else $OPENAI_API_KEY; empty: none.
inline std::string ClientKey() {
  for (const char* name : {"WEIR_API_KEY", "OPENAI_API_KEY"}) {
    if (const char* key = std::getenv(name); key != nullptr && *key != '\0') return key;
  }
  return "";
}

}  // namespace weir
