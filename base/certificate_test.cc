#include "base/certificate.h"

#include <gtest/gtest.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <memory>

#include "base/strings.h"

namespace reeve {
namespace {

const absl::Time kNow = absl::FromUnixSeconds(1'800'000'000);

X509* Read(const std::string& pem) {
  BIO* memory = BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size()));
  X509* certificate = PEM_read_bio_X509(memory, nullptr, nullptr, nullptr);
  BIO_free(memory);
  return certificate;
}

// As a TLS client would look at it at `when`, trusting `authority` alone.
int Verify(const std::string& authority, const std::string& server, absl::Time when) {
  X509 *root = Read(authority), *leaf = Read(server);
  X509_STORE* store = X509_STORE_new();
  X509_STORE_add_cert(store, root);
  X509_STORE_CTX* context = X509_STORE_CTX_new();
  X509_STORE_CTX_init(context, store, leaf, nullptr);
  X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context);
  X509_VERIFY_PARAM_set_time(rules, absl::ToTimeT(when));
  X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_SERVER);
  X509_VERIFY_PARAM_set1_host(rules, kServerName, 0);
  X509_verify_cert(context);
  const int error = X509_STORE_CTX_get_error(context);
  X509_STORE_CTX_free(context);
  X509_STORE_free(store);
  X509_free(root);
  X509_free(leaf);
  return error;
}

TEST(Certificate, WhatTheAuthorityIssuesIsTrustedInItsTime) {
  const CertifiedKey authority = MakeAuthority("c-1", kNow).value();
  const CertifiedKey server =
      IssueServer(authority, {"10.0.0.5", "fd00::5", "host.example"}, kNow, absl::Hours(24))
          .value();
  EXPECT_EQ(Verify(authority.certificate, server.certificate, kNow), X509_V_OK);
  EXPECT_EQ(Verify(authority.certificate, server.certificate, kNow + absl::Hours(25)),
            X509_V_ERR_CERT_HAS_EXPIRED);
  EXPECT_EQ(EndOf(server.certificate).value(), kNow + absl::Hours(24));
  // The chain holds the authority, so that who knows its fingerprint can fetch it.
  EXPECT_NE(server.certificate.find(authority.certificate), std::string::npos);
}

TEST(Certificate, AnotherAuthorityOfTheSameNameIsNotTrusted) {
  const CertifiedKey authority = MakeAuthority("c-1", kNow).value();
  const CertifiedKey other = MakeAuthority("c-1", kNow).value();
  const CertifiedKey server = IssueServer(other, {}, kNow, absl::Hours(24)).value();
  EXPECT_NE(Verify(authority.certificate, server.certificate, kNow), X509_V_OK);
  EXPECT_NE(Fingerprint(authority.certificate).value(), Fingerprint(other.certificate).value());
}

TEST(Certificate, SaysWhomItIsFor) {
  const CertifiedKey authority = MakeAuthority("c-1", kNow).value();
  const CertifiedKey server =
      IssueServer(authority, {"10.0.0.5", "::1", "host.example"}, kNow, absl::Hours(24)).value();
  EXPECT_TRUE(IsFor(server.certificate, {"10.0.0.5", "::1", "host.example"}));
  EXPECT_FALSE(IsFor(server.certificate, {"10.0.0.6"}));
  EXPECT_FALSE(IsFor(server.certificate, {"other.example"}));
  EXPECT_FALSE(IsFor("nonsense", {}));
}

TEST(Certificate, NamesThatWouldAddOthersAreRefused) {
  const CertifiedKey authority = MakeAuthority("c-1", kNow).value();
  for (const char* name : {"", "a,DNS:b", "a b", "a\nb", "*"}) {
    EXPECT_FALSE(IssueServer(authority, {name}, kNow, absl::Hours(1)).ok()) << name;
  }
  EXPECT_FALSE(IssueServer({"nonsense", "nonsense"}, {}, kNow, absl::Hours(1)).ok());
}

TEST(Certificate, DigestsAndSecretsCompareAsTheyShould) {
  EXPECT_EQ(Sha256Hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(SameSecret("secret", "secret"));
  EXPECT_FALSE(SameSecret("secret", "secreT"));
  EXPECT_FALSE(SameSecret("secret", "secrets"));
  EXPECT_FALSE(Fingerprint("nonsense").ok());
}

}  // namespace
}  // namespace reeve
