// reeve: the command line.

#include "client/commands/registration.h"

int main(int argc, char** argv) { return reeve::RunReeve(argc, argv); }
