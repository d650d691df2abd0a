// SPDX-License-Identifier: MIT
// The notes about a head are bits (HeadRules::Flag). Each field adds bits, and judge() looks only
// at all the bits together. So a rule about several fields is a test of several bits.
#include "reactor/http/internal/parse/head_rules.h"

#include <limits>

#include "reactor/http/internal/parse/chars.h"
#include "reactor/http/internal/parse/host.h"
#include "reactor/http/internal/parse/transfer_coding.h"

namespace reactor::http {
namespace {

// Calls take(element) for each element of a comma-separated list, without the blanks around it.
template <class Take>
void for_each_element(std::string_view list, Take take) {
  while (true) {
    const std::size_t comma = list.find(',');
    take(chars::trim(list.substr(0, comma)));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// Returns the length of "http://" or "https://" at the start of the target; 0 if it has neither.
std::size_t scheme_length(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (chars::same(target.substr(0, scheme.size()), scheme)) return scheme.size();
  }
  return 0;
}

// Sets the form of a target that is not in origin form, and the host of an absolute one. Returns
// false if the target is malformed, or if the request's method does not allow that form. judge()
// handles the origin form, which nearly all targets have.
bool judge_other_target(Request& request) {
  const std::string_view target = request.target;
  if (request.method == Method::connect) {
    request.form = TargetForm::authority;
    return valid_authority(target, PortRule::required);
  }
  if (target == "*") {
    request.form = TargetForm::asterisk;
    return request.method == Method::options;
  }
  const std::string_view rest = target.substr(scheme_length(target));
  if (rest.size() == target.size()) return false;
  const std::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  request.form = TargetForm::absolute;
  request.host = authority;  // overrides the Host field (RFC 9112 section 3.2.2)
  return !authority.empty() && authority[0] != ':' &&
         valid_authority(authority, PortRule::optional);
}

}  // namespace

std::uint32_t HeadRules::rare_field(std::string_view name, std::string_view value,
                                    std::uint32_t flags, Request& request) noexcept {
  if (is_any_case(name, "content-length")) return length(value, flags, request.content_length);
  if (is_any_case(name, "transfer-encoding")) return codings(value, flags);
  if (!is_any_case(name, "upgrade")) return 0;
  request.upgrade = value;
  return kProtocol;
}

std::uint32_t HeadRules::connection_options(std::string_view value) noexcept {
  std::uint32_t flags = 0;
  for_each_element(value, [&flags](std::string_view option) {
    if (is_any_case(option, "close")) flags |= kClose;
    if (is_any_case(option, "keep-alive")) flags |= kKeepAlive;
    if (is_any_case(option, "upgrade")) flags |= kUpgrade;
  });
  return flags;
}

std::uint32_t HeadRules::expectations(std::string_view value) noexcept {
  std::uint32_t flags = 0;
  for_each_element(value, [&flags](std::string_view expectation) {
    if (is_any_case(expectation, "100-continue")) {
      flags |= kContinue;
    } else if (!expectation.empty()) {
      flags |= kOtherExpectation;
    }
  });
  return flags;
}

std::uint32_t HeadRules::length(std::string_view value, std::uint32_t flags,
                                std::uint64_t& out) noexcept {
  constexpr std::uint64_t kMax = std::numeric_limits<std::uint64_t>::max();
  if (value.empty() || (flags & kLength) != 0) return kLength | kBadLength;
  std::uint64_t length = 0;
  for (const char byte : value) {
    if (!chars::is(chars::kDigit, byte)) return kLength | kBadLength;
    const auto digit = static_cast<std::uint64_t>(byte - '0');
    if (length > (kMax - digit) / 10) return kLength | kBadLength;
    length = length * 10 + digit;
  }
  out = length;
  return kLength;
}

// Reads a Transfer-Encoding field. Repeated fields form one list (RFC 9110 section 5.3), whose
// empty elements are ignored (section 5.6.1.2). "chunked" has no parameters (RFC 9112 section 7.1).
std::uint32_t HeadRules::codings(std::string_view value, std::uint32_t flags) noexcept {
  flags |= kCoding;
  while (!value.empty()) {
    const TransferCoding coding = next_coding(value);
    if (coding.malformed) return flags | kBadCoding;
    if (coding.name.empty()) continue;
    const bool chunked = is_any_case(coding.name, "chunked");
    if ((flags & kChunked) != 0) flags |= kBehindChunked;
    if (chunked && coding.parameters) flags |= kBadCoding;
    flags |= chunked ? kChunked : kOtherCoding;
  }
  return flags;
}

// Checks the rules of RFC 9112 section 6, the expectations, and the limit of the body's length.
Verdict HeadRules::judge_framing(const Limits& limits, const Request& request,
                                 std::uint32_t flags) noexcept {
  if ((flags & kCoding) != 0) {
    if (request.minor_version == 0) return {400, "Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)"};
    if ((flags & kLength) != 0)
      return {400, "Transfer-Encoding with Content-Length (RFC 9112 6.1)"};
    if ((flags & kBadCoding) != 0) return {400, "malformed Transfer-Encoding (RFC 9112 7)"};
    if ((flags & kChunked) == 0 || (flags & kBehindChunked) != 0) {
      return {400, "chunked is not the final transfer coding, or not once (RFC 9112 6.3)"};
    }
    if ((flags & kOtherCoding) != 0) return {501, "unknown transfer coding (RFC 9112 6.1)"};
  }
  if ((flags & kBadLength) != 0)
    return {400, "malformed or repeated Content-Length (RFC 9112 6.3)"};
  if ((flags & kOtherExpectation) != 0 && request.minor_version != 0) {
    return {417, "unknown expectation (RFC 9110 10.1.1)"};
  }
  if (request.content_length > limits.body)
    return {413, "Content-Length above the limit of a body"};
  return {};
}

Verdict HeadRules::judge(const Limits& limits, Request& request) const noexcept {
  const std::uint32_t flags = flags_;
  const bool modern = request.minor_version != 0;
  if ((flags & kHost) == 0) {
    if (modern) return {400, "no Host (RFC 9112 3.2)"};
    request.host = {};
  }
  if ((flags & kHostTwice) != 0) return {400, "repeated Host (RFC 9112 3.2)"};
  if ((flags & kPlainHost) == 0 && !valid_authority(request.host, PortRule::optional)) {
    return {400, "malformed Host (RFC 9112 3.2)"};
  }
  request.body = {};
  request.form = TargetForm::origin;
  if ((request.target[0] != '/' || request.method == Method::connect) &&
      !judge_other_target(request)) {
    return {400, "malformed target, or a form that the method does not take (RFC 9112 3.2)"};
  }
  request.keep_alive = (flags & kClose) == 0 && (modern || (flags & kKeepAlive) != 0) &&
                       request.method != Method::connect;
  request.expect_continue = modern && (flags & kContinue) != 0;
  request.chunked = (flags & kChunked) != 0;
  request.has_content_length = (flags & kLength) != 0;
  constexpr std::uint32_t kAsksUpgrade = kUpgrade | kProtocol;
  if (!modern || (flags & kAsksUpgrade) != kAsksUpgrade) request.upgrade = {};
  if ((flags & kLength) == 0) request.content_length = 0;
  if ((flags & (kCoding | kLength | kOtherExpectation)) == 0) return {};
  return judge_framing(limits, request, flags);
}

}  // namespace reactor::http
