#include "base/time_scale.h"

#include <cstdlib>

namespace reeve {
namespace {

double Read() {
  const char* text = std::getenv("REEVE_TIME_SCALE");
  if (text == nullptr) return 1;
  char* end = nullptr;
  const double scale = std::strtod(text, &end);
  return end != text && *end == '\0' && scale >= 0.001 && scale <= 1000 ? scale : 1;
}

}  // namespace

double TimeScale() {
  static const double scale = Read();
  return scale;
}

}  // namespace reeve
