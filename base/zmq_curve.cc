#include "base/zmq_curve.h"

#include <cstdint>

#include "zmq.h"

namespace reeve {
namespace {
constexpr size_t kKeyText = 40, kKeyBytes = 32;
}  // namespace

CurveKeys MakeCurveKeys() {
  char public_key[kKeyText + 1] = {}, secret_key[kKeyText + 1] = {};
  zmq_curve_keypair(public_key, secret_key);
  return {public_key, secret_key};
}

bool IsCurveKey(std::string_view text) {
  if (text.size() != kKeyText || text.find('\0') != std::string_view::npos) return false;
  uint8_t bytes[kKeyBytes];
  return zmq_z85_decode(bytes, std::string(text).c_str()) != nullptr;
}

std::string PublicKeyOf(const std::string& secret_key) {
  char public_key[kKeyText + 1] = {};
  if (!IsCurveKey(secret_key) || zmq_curve_public(public_key, secret_key.c_str()) != 0) return {};
  return public_key;
}

}  // namespace reeve
