#include "engine/request/token_event.h"

namespace weir {

std::string_view FinishReasonName(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kNone:
    case FinishReason::kError:
      break;
  }
  return "";
}

}  // namespace weir
