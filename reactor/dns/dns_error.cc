// SPDX-License-Identifier: MIT
#include "reactor/dns/dns_error.h"

#include <string>

namespace reactor::dns {
namespace {

class DnsCategory final : public std::error_category {
 public:
  [[nodiscard]] const char* name() const noexcept override { return "dns"; }

  [[nodiscard]] std::string message(int value) const override {
    switch (static_cast<Errc>(value)) {
      case Errc::not_found:
        return "host not found";
      case Errc::no_data:
        return "host has no address of this family";
      case Errc::timed_out:
        return "name servers did not answer in time";
      case Errc::server_failure:
        return "no name server gave an answer: it failed, refused or can't be reached";
      case Errc::bad_name:
        return "not a host name";
      case Errc::bad_answer:
        return "name server gave a broken answer";
      case Errc::bad_options:
        return "a name server must have an IPv4 or IPv6 address, and a path no NUL byte";
    }
    return "unknown error";
  }

  [[nodiscard]] std::error_condition default_error_condition(int value) const noexcept override {
    if (static_cast<Errc>(value) == Errc::timed_out) return std::errc::timed_out;
    return {value, *this};
  }
};

}  // namespace

const std::error_category& category() noexcept {
  static const DnsCategory instance;
  return instance;
}

std::error_code make_error_code(Errc code) noexcept { return {static_cast<int>(code), category()}; }

}  // namespace reactor::dns
