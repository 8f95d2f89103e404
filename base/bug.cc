#include "base/bug.h"

namespace reeve {

Bug planted_bug = Bug::kNone;

}  // namespace reeve
