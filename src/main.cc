#include "cli/command.h"

int main(int argc, char** argv) { return weir::Main(argc, argv); }
