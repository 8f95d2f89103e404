// Opens files below a folder, wherever symbolic links or `..` in the path point to.
//
// Thread: any.

#ifndef REEVE_BASE_BENEATH_H_
#define REEVE_BASE_BENEATH_H_

#include <string>

namespace reeve {

// As open(2) of `path` seen from `folder`, close-on-exec. Returns: -1 with errno; ELOOP for a
// symbolic link anywhere in it, EXDEV for what leaves the folder.
int OpenBeneath(int folder, const std::string& path, int flags);

}  // namespace reeve

#endif  // REEVE_BASE_BENEATH_H_
