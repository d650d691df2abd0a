// SPDX-License-Identifier: MIT
#include "servers/lookup.h"

#include <netdb.h>
#include <sys/socket.h>

#include <cstring>
#include <memory>
#include <sstream>
#include <stdexcept>

#include "reactor/base/error.h"
#include "servers/helper.h"

namespace servers {
namespace {

using reactor::prefork::Identity;

// A helper's answer begins with one of these bytes.
constexpr char kFound = '+';
constexpr char kFailed = '-';  // the reason follows

// ---- Hosts: after kFound a length of one byte and a sockaddr, for each address ----

std::string ask_resolver(const std::string& host, const std::string& port, bool datagrams) {
  addrinfo hints{};
  hints.ai_socktype = datagrams ? SOCK_DGRAM : SOCK_STREAM;
  hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  const int error = ::getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (error != 0) return kFailed + std::string(::gai_strerror(error));
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, &::freeaddrinfo);
  std::string text(1, kFound);
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    text += static_cast<char>(entry->ai_addrlen);
    text.append(reinterpret_cast<const char*>(entry->ai_addr), entry->ai_addrlen);
  }
  return text;
}

std::vector<reactor::Address> addresses_in(const std::string& text) {
  std::vector<reactor::Address> addresses;
  for (std::size_t at = 1; at < text.size();) {
    const auto length = static_cast<unsigned char>(text[at]);
    sockaddr_storage storage{};
    std::memcpy(&storage, text.data() + at + 1, length);
    addresses.push_back(
        reactor::Address::from(reinterpret_cast<const sockaddr*>(&storage), length));
    at += 1 + length;
  }
  return addresses;
}

// ---- Identities: after kFound the numbers of user, group and supplementary groups ----

std::string ask_user_database(const std::string& user, const std::string& group) {
  const auto identity = reactor::prefork::find_identity(user, group);
  if (!identity) return kFailed + std::to_string(identity.error().value());
  std::ostringstream text;
  text << kFound << identity->user << ' ' << identity->group;
  for (const gid_t number : identity->groups) text << ' ' << number;
  return text.str();
}

Identity identity_in(const std::string& text) {
  std::istringstream numbers(text.substr(1));
  Identity identity;
  numbers >> identity.user >> identity.group;
  for (gid_t number = 0; numbers >> number;) identity.groups.push_back(number);
  return identity;
}

}  // namespace

std::vector<reactor::Address> look_up_host(const std::string& host, const std::string& port,
                                           bool datagrams) {
  const auto answer = ask_helper([&] { return ask_resolver(host, port, datagrams); }, kLookupLimit);
  if (!answer && answer.error() == std::errc::timed_out) {
    throw std::runtime_error("the name server did not answer within " +
                             std::to_string(kLookupLimit / std::chrono::seconds(1)) + " s");
  }
  if (!answer) throw std::runtime_error(answer.error().message());
  if (answer->front() == kFailed) throw std::runtime_error(answer->substr(1));
  return addresses_in(*answer);
}

reactor::Result<Identity> look_up_identity(const std::string& user, const std::string& group) {
  const auto answer = ask_helper([&] { return ask_user_database(user, group); }, kLookupLimit);
  if (!answer) return answer.error();
  if (answer->front() == kFound) return identity_in(*answer);
  return static_cast<reactor::Errc>(std::stoi(answer->substr(1)));
}

}  // namespace servers
