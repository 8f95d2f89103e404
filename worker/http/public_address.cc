#include "worker/http/public_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <cstdint>
#include <cstring>

namespace reeve {
namespace {

struct Network {
  uint32_t first;
  int bits;
};

constexpr Network kNotPublic[] = {
    {0x00000000, 8},   // 0.0.0.0/8, this network
    {0x0A000000, 8},   // 10.0.0.0/8
    {0x64400000, 10},  // 100.64.0.0/10, shared by carriers
    {0x7F000000, 8},   // 127.0.0.0/8
    {0xA9FE0000, 16},  // 169.254.0.0/16, link-local; clouds tell secrets there
    {0xAC100000, 12},  // 172.16.0.0/12
    {0xC0000000, 24},  // 192.0.0.0/24
    {0xC0000200, 24},  // 192.0.2.0/24
    {0xC0586300, 24},  // 192.88.99.0/24
    {0xC0A80000, 16},  // 192.168.0.0/16
    {0xC6120000, 15},  // 198.18.0.0/15
    {0xC6336400, 24},  // 198.51.100.0/24
    {0xCB007100, 24},  // 203.0.113.0/24
    {0xE0000000, 3},   // 224.0.0.0/4 and 240.0.0.0/4
};

bool IsPublic(uint32_t address) {
  for (const Network& network : kNotPublic) {
    if (address >> (32 - network.bits) == network.first >> (32 - network.bits)) return false;
  }
  return true;
}

uint32_t Read32(const uint8_t* bytes) {
  uint32_t value;
  std::memcpy(&value, bytes, sizeof value);
  return ntohl(value);
}

bool IsPublic(const in6_addr& address) {
  const uint8_t* const b = address.s6_addr;
  constexpr uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};  // ::ffff:0:0/96
  constexpr uint8_t kNat64[12] = {0, 0x64, 0xff, 0x9b};                        // 64:ff9b::/96
  if (std::memcmp(b, kMapped, 12) == 0 || std::memcmp(b, kNat64, 12) == 0)
    return IsPublic(Read32(b + 12));
  const uint32_t first = Read32(b);
  if (first >> 16 == 0x2002) return IsPublic(Read32(b + 2));  // 6to4
  // 2000::/3 without 2001::/23 (protocols, Teredo among them) and 2001:db8::/32.
  return first >> 29 == 1 && first >> 9 != 0x20010000 >> 9 && first != 0x20010db8;
}

}  // namespace

bool IsPublicAddress(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in v4;
    std::memcpy(&v4, &address, sizeof v4);
    return IsPublic(ntohl(v4.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return false;
  sockaddr_in6 v6;
  std::memcpy(&v6, &address, sizeof v6);
  return IsPublic(v6.sin6_addr);
}

}  // namespace reeve
