// Which addresses anybody may be reached at, and which belong to a network of its own.
//
// Thread: any.
// Source: the IANA special-purpose address registries (RFC 6890 and its updates).

#ifndef REEVE_WORKER_HTTP_PUBLIC_ADDRESS_H_
#define REEVE_WORKER_HTTP_PUBLIC_ADDRESS_H_

#include <sys/socket.h>

namespace reeve {

// False for loopback, private, link-local, shared, documentation, benchmark, multicast and reserved
// addresses, for IPv6 addresses that stand for such an IPv4 address, and for other families.
bool IsPublicAddress(const sockaddr& address);

}  // namespace reeve

#endif  // REEVE_WORKER_HTTP_PUBLIC_ADDRESS_H_
