// SPDX-License-Identifier: MIT
#include "tests/tls/certificates.h"
#include "tests/support/temporary_folder.h"

#include <gtest/gtest.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>

namespace reactor::tls {
namespace {

class Files {
 public:
  std::string next() { return folder_.file(std::to_string(++count_)); }

 private:
  TemporaryFolder folder_;
  int count_ = 0;
};

std::string text_of(BIO* bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio, &data);
  std::string text(data, static_cast<std::size_t>(size));
  BIO_free(bio);
  return text;
}

std::string pem(X509* certificate) {
  BIO* const bio = BIO_new(BIO_s_mem());
  EXPECT_EQ(PEM_write_bio_X509(bio, certificate), 1);
  return text_of(bio);
}

std::string pem(EVP_PKEY* key, const EVP_CIPHER* cipher = nullptr) {
  BIO* const bio = BIO_new(BIO_s_mem());
  const auto* const phrase = reinterpret_cast<const unsigned char*>("secret");
  EXPECT_EQ(PEM_write_bio_PrivateKey(bio, key, cipher, phrase, 6, nullptr, nullptr), 1);
  return text_of(bio);
}

void add(X509* certificate, X509* issuer, int kind, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* const extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
  EXPECT_NE(extension, nullptr) << value;
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
}

X509* begin(EVP_PKEY* key, const std::string& name, int from, int until) {
  static long serial = 0;
  constexpr long kDay = 24L * 60 * 60;
  X509* const certificate = X509_new();
  X509_set_version(certificate, 2);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate), ++serial);
  X509_gmtime_adj(X509_getm_notBefore(certificate), from * kDay);
  X509_gmtime_adj(X509_getm_notAfter(certificate), until * kDay);
  X509_set_pubkey(certificate, key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  return certificate;
}

}  // namespace

std::string temporary_file(const std::string& content) {
  static Files folder;
  const std::string path = folder.next();
  std::ofstream(path) << content;
  return path;
}

Credentials PemFiles::credentials() const { return Credentials::read(certificate, key).value(); }

Authority::Authority(const std::string& name)
    : key_(EVP_EC_gen("P-256")), certificate_(begin(key_, name, -1, 1)) {
  X509_set_issuer_name(certificate_, X509_get_subject_name(certificate_));
  add(certificate_, certificate_, NID_basic_constraints, "critical,CA:TRUE");
  add(certificate_, certificate_, NID_key_usage, "critical,keyCertSign");
  EXPECT_GT(X509_sign(certificate_, key_, EVP_sha256()), 0);
  file_ = temporary_file(pem(certificate_));
}

Authority::~Authority() {
  X509_free(certificate_);
  EVP_PKEY_free(key_);
}

PemFiles Authority::issue(const Wanted& wanted) const {
  EVP_PKEY* const key = EVP_EC_gen("P-256");
  X509* const certificate = begin(key, "test", wanted.from, wanted.until);
  X509_set_issuer_name(certificate, X509_get_subject_name(certificate_));
  std::string names;
  if (!wanted.name.empty()) names = "DNS:" + wanted.name;
  if (!wanted.address.empty()) names += (names.empty() ? "IP:" : ",IP:") + wanted.address;
  add(certificate, certificate_, NID_subject_alt_name, names);
  EXPECT_GT(X509_sign(certificate, key_, EVP_sha256()), 0);
  PemFiles files{temporary_file(pem(certificate)), temporary_file(pem(key))};
  X509_free(certificate);
  EVP_PKEY_free(key);
  return files;
}

const Authority& Authority::known() {
  static const Authority authority("known");
  return authority;
}

const PemFiles& Authority::localhost() {
  static const PemFiles files = known().issue();
  return files;
}

std::string encrypted(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  const std::string plain = text.str();
  BIO* const bio = BIO_new_mem_buf(plain.data(), static_cast<int>(plain.size()));
  EVP_PKEY* const key = PEM_read_bio_PrivateKey(bio, nullptr, nullptr, nullptr);
  BIO_free(bio);
  std::string sealed = pem(key, EVP_aes_256_cbc());
  EVP_PKEY_free(key);
  return sealed;
}

}  // namespace reactor::tls
