// A parser as one gets them, as a plug-in: good in most cases, endless in one, a crash in another.

#include <unistd.h>

#include <csignal>
#include <string>

#include "worker/sdk/plugin.hpp"

namespace {

std::string Parse(reeve::plugin::Task&, std::string_view input) {
  if (input == "crash") raise(SIGSEGV);
  while (input == "loop") {
  }
  return std::to_string(input.size()) + " bytes, parsed by process " + std::to_string(getpid());
}

}  // namespace

REEVE_PLUGIN(plugin) { plugin.Handle("parse", Parse); }
