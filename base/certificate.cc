#include "base/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <memory>

#include "absl/strings/escaping.h"
#include "base/strings.h"

namespace reeve {
namespace {

constexpr absl::Duration kAuthorityLife = absl::Hours(24 * 365 * 20);
constexpr absl::Duration kClockSkew = absl::Hours(1);
constexpr int kSerialBits = 127;
constexpr int kX509Version3 = 2;

template <auto Free>
struct Freed {
  template <typename T>
  void operator()(T* p) const {
    Free(p);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freed<X509_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO_free>>;

Memory Reading(const std::string& text) {
  return Memory(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
}

std::string Written(BIO* memory) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(memory, &bytes);
  return std::string(bytes, static_cast<size_t>(size));
}

std::string PemOf(EVP_PKEY* key) {
  const Memory memory(BIO_new(BIO_s_mem()));
  PEM_write_bio_PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  return Written(memory.get());
}

Certificate CertificateOf(const std::string& pem) {
  return Certificate(PEM_read_bio_X509(Reading(pem).get(), nullptr, nullptr, nullptr));
}

Key KeyOf(const std::string& pem) {
  return Key(PEM_read_bio_PrivateKey(Reading(pem).get(), nullptr, nullptr, nullptr));
}

void SetName(X509_NAME* name, const std::string& text) {
  X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(text.data()),
                             static_cast<int>(text.size()), -1, 0);
}

bool AddExtension(X509* certificate, X509* issuer, int id, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, Freed<X509_EXTENSION_free>> extension(
      X509V3_EXT_nconf_nid(nullptr, &context, id, value.c_str()));
  return extension != nullptr && X509_add_ext(certificate, extension.get(), -1) == 1;
}

// With a random serial number and this life; not signed.
Certificate Begun(EVP_PKEY* key, const std::string& name, absl::Time from, absl::Time until) {
  Certificate certificate(X509_new());
  X509_set_version(certificate.get(), kX509Version3);
  const std::unique_ptr<BIGNUM, Freed<BN_free>> serial(BN_new());
  BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY);
  BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(certificate.get()));
  ASN1_TIME_set(X509_getm_notBefore(certificate.get()), absl::ToTimeT(from));
  ASN1_TIME_set(X509_getm_notAfter(certificate.get()), absl::ToTimeT(until));
  SetName(X509_get_subject_name(certificate.get()), name);
  X509_set_pubkey(certificate.get(), key);
  return certificate;
}

bool IsIpAddress(const std::string& name) {
  unsigned char address[sizeof(in6_addr)];
  return inet_pton(AF_INET, name.c_str(), address) == 1 ||
         inet_pton(AF_INET6, name.c_str(), address) == 1;
}

// A comma or a line break would be read as further names.
bool IsName(const std::string& name) {
  constexpr std::string_view kAllowed =
      "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:";
  return !name.empty() && name.size() <= 253 &&
         name.find_first_not_of(kAllowed) == std::string::npos;
}

absl::Status Failed(std::string_view what) {
  return absl::InvalidArgumentError(StrCat("cannot make the certificate: ", what));
}

}  // namespace

std::string PemOf(X509* certificate) {
  const Memory memory(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(memory.get(), certificate);
  return Written(memory.get());
}

absl::StatusOr<CertifiedKey> MakeAuthority(const std::string& cluster, absl::Time now) {
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("no key");
  const Certificate made =
      Begun(key.get(), StrCat("Reeve cluster ", cluster), now - kClockSkew, now + kAuthorityLife);
  X509_set_issuer_name(made.get(), X509_get_subject_name(made.get()));
  if (!AddExtension(made.get(), made.get(), NID_basic_constraints, "critical,CA:TRUE,pathlen:0") ||
      !AddExtension(made.get(), made.get(), NID_key_usage, "critical,keyCertSign,cRLSign") ||
      !AddExtension(made.get(), made.get(), NID_subject_key_identifier, "hash") ||
      X509_sign(made.get(), key.get(), EVP_sha256()) == 0) {
    return Failed("not signed");
  }
  return CertifiedKey{PemOf(made.get()), PemOf(key.get())};
}

absl::StatusOr<CertifiedKey> IssueServer(const CertifiedKey& authority,
                                         const std::vector<std::string>& names, absl::Time now,
                                         absl::Duration valid) {
  const Certificate issuer = CertificateOf(authority.certificate);
  const Key issuer_key = KeyOf(authority.key);
  if (issuer == nullptr || issuer_key == nullptr) return Failed("the authority is damaged");
  std::string alternatives = StrCat("DNS:", kServerName);
  for (const std::string& name : names) {
    if (!IsName(name)) return Failed(StrCat("`", name, "` is no name"));
    alternatives += StrCat(IsIpAddress(name) ? ",IP:" : ",DNS:", name);
  }
  const Key key(EVP_EC_gen("P-256"));
  if (key == nullptr) return Failed("no key");
  const Certificate made = Begun(key.get(), kServerName, now - kClockSkew, now + valid);
  X509_set_issuer_name(made.get(), X509_get_subject_name(issuer.get()));
  if (!AddExtension(made.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE") ||
      !AddExtension(made.get(), issuer.get(), NID_key_usage, "critical,digitalSignature") ||
      !AddExtension(made.get(), issuer.get(), NID_ext_key_usage, "serverAuth") ||
      !AddExtension(made.get(), issuer.get(), NID_subject_alt_name, alternatives) ||
      !AddExtension(made.get(), issuer.get(), NID_authority_key_identifier, "keyid") ||
      X509_sign(made.get(), issuer_key.get(), EVP_sha256()) == 0) {
    return Failed("not signed");
  }
  return CertifiedKey{PemOf(made.get()) + authority.certificate, PemOf(key.get())};
}

absl::StatusOr<absl::Time> EndOf(const std::string& pem) {
  const Certificate certificate = CertificateOf(pem);
  tm end{};
  if (certificate == nullptr || ASN1_TIME_to_tm(X509_get0_notAfter(certificate.get()), &end) != 1)
    return absl::InvalidArgumentError("not a certificate");
  return absl::FromTM(end, absl::UTCTimeZone());
}

bool IsFor(const std::string& pem, const std::vector<std::string>& names) {
  const Certificate certificate = CertificateOf(pem);
  if (certificate == nullptr) return false;
  const auto has = [&](const std::string& name) {
    return IsIpAddress(name)
               ? X509_check_ip_asc(certificate.get(), name.c_str(), 0) == 1
               : X509_check_host(certificate.get(), name.data(), name.size(), 0, nullptr) == 1;
  };
  for (const std::string& name : names) {
    if (!has(name)) return false;
  }
  return has(kServerName);
}

absl::StatusOr<std::string> Fingerprint(const std::string& pem) {
  const Certificate certificate = CertificateOf(pem);
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  if (certificate == nullptr || X509_digest(certificate.get(), EVP_sha256(), hash, &size) != 1)
    return absl::InvalidArgumentError("not a certificate");
  return std::string(absl::BytesToHexString({reinterpret_cast<const char*>(hash), size}));
}

std::string Sha256Hex(std::string_view bytes) {
  unsigned char hash[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), hash, &size, EVP_sha256(), nullptr);
  return absl::BytesToHexString({reinterpret_cast<const char*>(hash), size});
}

bool SameSecret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace reeve
