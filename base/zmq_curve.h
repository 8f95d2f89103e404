// Keys of ZeroMQ's CURVE (elliptic curve 25519), by which both ends of a link know each other and
// encrypt.
//
// Thread: any.

#ifndef REEVE_BASE_ZMQ_CURVE_H_
#define REEVE_BASE_ZMQ_CURVE_H_

#include <string>
#include <string_view>

namespace reeve {

// Both as libzmq writes keys: Z85, 40 characters.
struct CurveKeys {
  std::string public_key;
  std::string secret_key;
};

CurveKeys MakeCurveKeys();

// Whether `text` is 32 bytes in Z85.
bool IsCurveKey(std::string_view text);

// The public key that belongs to a secret one; empty if that is none.
std::string PublicKeyOf(const std::string& secret_key);

}  // namespace reeve

#endif  // REEVE_BASE_ZMQ_CURVE_H_
