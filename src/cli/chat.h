// `weir chat`: a conversation in the terminal, with a running server or with a model of its own.
//
// Errors    exit codes: 2 a flag, 3 the model file, 4 no server or the server said no, 130 Ctrl-C at the prompt
#pragma once

#include <string>
#include <vector>

namespace weir {

int RunChat(const std::vector<std::string>& arguments);

}  // namespace weir
