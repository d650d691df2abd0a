// SPDX-License-Identifier: MIT
// Options that contexts and credentials refuse, and the reasons.
#include <openssl/err.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/tls/tls_kit.h"

namespace reactor::tls {
namespace {

std::string content_of(const std::string& file) {
  std::ostringstream text;
  text << std::ifstream(file).rdbuf();
  return text.str();
}

TEST(TlsCredentials, NameTheFileThatIsToBlame) {
  const PemFiles& good = Authority::localhost();
  const PemFiles other = Authority::known().issue();
  const std::string text = temporary_file("just text");
  const std::string sealed = temporary_file(encrypted(good.key));
  const std::string endless = temporary_file(std::string((1 << 20) + 1, 'x'));
  const std::string broken =
      temporary_file(content_of(good.certificate) + "-----BEGIN CERTIFICATE-----\nabc\n");
  struct Case {
    std::string certificate, key;
    bool key_is_bad;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {"/no/such/file", good.key, false, "No such file or directory"},
      {good.certificate, "/no/such/file", true, "No such file or directory"},
      {"/tmp", good.key, false, "Is a directory"},
      {endless, good.key, false, "File too large"},
      {text, good.key, false, "no certificate in PEM form"},
      {good.key, good.key, false, "no certificate in PEM form"},
      {broken, good.key, false, "TLS: bad end line"},
      {good.certificate, text, true, "no private key in PEM form"},
      {good.certificate, good.certificate, true, "no private key in PEM form"},
      {good.certificate, sealed, true, "the private key is encrypted"},
      {good.certificate, other.key, true, "the private key does not belong to the certificate"},
  };
  for (const Case& each : cases) {
    std::string culprit;
    const auto read = Credentials::read(each.certificate, each.key, &culprit);
    ASSERT_FALSE(read.has_value()) << each.reason;
    EXPECT_EQ(read.error().message(), each.reason);
    EXPECT_EQ(culprit, each.key_is_bad ? each.key : each.certificate) << each.reason;
    EXPECT_EQ(ERR_peek_error(), 0U) << "nothing is left for other users of OpenSSL";
  }
}

TEST(TlsCredentials, BothMayBeInOneFileAndTheChainFollows) {
  const PemFiles& good = Authority::localhost();
  const std::string one = temporary_file(content_of(good.key) + content_of(good.certificate) +
                                         content_of(Authority::known().file()));
  EXPECT_TRUE(Credentials::read(one, one));
}

TEST(TlsContext, RefusesWhatItCannotUse) {
  const Credentials good = Authority::localhost().credentials();
  EXPECT_EQ(ServerContext::make({}).error(), Errc::no_certificate);
  EXPECT_EQ(ServerContext::make({.credentials = good, .protocols = {""}}).error(),
            Errc::bad_protocol);
  EXPECT_EQ(ServerContext::make({.credentials = good, .ticket_key = "short"}).error(),
            Errc::bad_ticket_key);
  EXPECT_EQ(ClientContext::make({.protocols = {std::string(256, 'x')}}).error(),
            Errc::bad_protocol);
  EXPECT_EQ(ClientContext::make({.ca_file = "/no/such/file"}).error(),
            std::errc::no_such_file_or_directory);
  EXPECT_EQ(ClientContext::make({.ca_file = std::string("/etc\0x", 6)}).error(),
            std::errc::invalid_argument);
  EXPECT_EQ(ClientContext::make({.ca_file = temporary_file("text")}).error().category(),
            category());
}

TEST(TlsContext, GroupsAreThoseThatOpensslKnows) {
  const Credentials good = Authority::localhost().credentials();
  std::string culprit;
  for (const char* groups : {kDefaultGroups, "P-521", "X448:ffdhe2048"}) {
    EXPECT_TRUE(check_groups(groups, &culprit)) << groups;
  }
  for (const auto& [groups, name] : std::vector<std::pair<std::string, std::string>>{
           {"X25519:P-257", "P-257"}, {"x:y", "x"}, {"", ""}, {"P-256:P-256", ""}}) {
    culprit = "nobody";
    EXPECT_EQ(check_groups(groups, &culprit).error(), Errc::bad_groups) << groups;
    EXPECT_EQ(culprit, name);
    EXPECT_EQ(check_groups(groups).error(), Errc::bad_groups);
    EXPECT_EQ(ServerContext::make({.credentials = good, .groups = groups}).error(),
              Errc::bad_groups);
    EXPECT_EQ(ClientContext::make({.groups = groups}).error(), Errc::bad_groups);
  }
}

TEST(TlsCredentials, AreValidWhileAllOfThemAre) {
  using std::chrono::hours;
  const auto now = std::chrono::system_clock::now();
  const auto days = [&](std::chrono::system_clock::time_point point) {
    return std::chrono::round<hours>(point - now) / hours(24);
  };
  const PemFiles early = Authority::known().issue({.from = -5, .until = -2});
  const PemFiles late = Authority::known().issue({.from = -3, .until = 7});
  const Validity one = get(early.credentials().validity());
  EXPECT_EQ(days(one.from), -5);
  EXPECT_EQ(days(one.until), -2);
  Credentials both = early.credentials();
  both.certificates += late.credentials().certificates;
  const Validity all = get(both.validity());
  EXPECT_EQ(days(all.from), -3);
  EXPECT_EQ(days(all.until), -2);
  EXPECT_EQ(Credentials{}.validity().error(), Errc::no_certificate);
  both.certificates += "-----BEGIN CERTIFICATE-----\nabc\n";
  EXPECT_TRUE(both.validity().error());
}

// The time 99991231235959Z means "no expiry" (RFC 5280 section 4.1.2.5). A time_point can't hold
// it.
TEST(TlsCredentials, MayBeValidForEver) {
  const auto now = std::chrono::system_clock::now();
  const std::chrono::sys_days last{std::chrono::year{9999} / 12 / 31};
  const auto days = (last - std::chrono::floor<std::chrono::days>(now)).count();
  const PemFiles files = Authority::known().issue({.until = static_cast<int>(days)});
  const Validity valid = get(files.credentials().validity());
  EXPECT_LT(valid.from, now);
  EXPECT_GT(valid.until, now + std::chrono::hours(24 * 365 * 200));
}

TEST(TlsContext, AHostHasToBeOne) {
  const auto client = make_client();
  using std::string_literals::operator""s;
  for (const std::string& host : {""s, "."s, ".test"s, std::string(300, 'x'), "local\0host"s}) {
    EXPECT_EQ(client->transport_for(host).error(), Errc::bad_host);
  }
  for (const char* host :
       {"localhost", "localhost.", "::1", "127.0.0.1", "xn--bcher-kva.example"}) {
    EXPECT_TRUE(client->transport_for(host)) << host;
  }
}

TEST(TlsContext, TicketKeysAreRandom) {
  EXPECT_EQ(new_ticket_key().size(), kTicketKeySize);
  EXPECT_NE(new_ticket_key(), new_ticket_key());
}

TEST(TlsErrors, HaveTexts) {
  for (int value = 1; value <= static_cast<int>(Errc::bad_groups); ++value) {
    const std::error_code error = static_cast<Errc>(value);
    EXPECT_EQ(error.message().find("unknown"), std::string::npos) << value;
    EXPECT_FALSE(is_verification(error));
  }
  EXPECT_EQ(std::error_code(999, category()).message(), "unknown TLS error 999");
  EXPECT_EQ(std::string(category().name()), "tls");
}

}  // namespace
}  // namespace reactor::tls
