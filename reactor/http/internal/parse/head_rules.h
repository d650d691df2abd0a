// SPDX-License-Identifier: MIT
// HeadRules checks the rules about framing, connection and host that the fields of one head must
// follow together. Private to http/.
//
// Fields are noted as they are parsed, and judged once at the end of the head. So the verdict does
// not depend on where the input was cut, or on the order of the fields if several rules are broken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>
#include <type_traits>

#include "reactor/http/limits.h"
#include "reactor/http/request.h"

namespace reactor::http {

// Returns whether the text equals `lower`, without regard to case, with a few comparisons of words.
// `lower` has no upper-case letters. Setting bit 0x20 turns only letters into letters. It also
// turns some control characters into '-' or digits, but no text here contains those, so the result
// is exact.
template <std::size_t with_nul>
inline bool is_any_case(std::string_view text, const char (&lower)[with_nul]) noexcept {
  constexpr std::size_t size = with_nul - 1;
  constexpr std::size_t step = size < 8 ? 4 : 8;
  using Word = std::conditional_t < size<8, std::uint32_t, std::uint64_t>;
  if (text.size() != size) return false;
  for (std::size_t i = 0; i < size; i += step) {
    // The last word overlaps the one before.
    const std::size_t at = i + step <= size ? i : size - step;
    Word word = 0;
    Word wanted = 0;
    std::memcpy(&word, text.data() + at, step);
    std::memcpy(&wanted, lower + at, step);
    if ((word | static_cast<Word>(0x2020202020202020U)) != wanted) return false;
  }
  return true;
}

// Verdict is the error in a head, if there is one.
struct Verdict {
  std::uint16_t status = 0;  // 0: no error
  const char* reason = "";
};

class HeadRules {
 public:
  // Notes a field, if it matters here. Stores the values of Host, Content-Length and Upgrade in the
  // request. The name must be a token.
  [[gnu::always_inline]] void note(std::string_view name, std::string_view value,
                                   Request& request) noexcept {
    // The lengths of "upgrade", "content-length" and "transfer-encoding".
    constexpr std::uint32_t kRareSizes = 1U << 7U | 1U << 14U | 1U << 17U;
    if (name.size() == 4) {
      if (is_any_case(name, "host")) note_host(value, request);
    } else if (name.size() == 10) {
      if (is_any_case(name, "connection")) note_connection(value);
    } else if (name.size() == 6) {
      if (is_any_case(name, "expect")) flags_ |= expectations(value);
    } else if (name.size() < 32 && (kRareSizes >> name.size() & 1U) != 0) {
      flags_ |= rare_field(name, value, flags_, request);
    }
  }

  // Notes that the request line was "GET /... HTTP/1.1".
  void note_plain_line() noexcept { flags_ |= kPlainLine; }

  // Does what note() does for a Host field whose syntax was already checked.
  void note_plain_host(std::string_view value, Request& request) noexcept {
    note_host(value, request);
    flags_ |= kPlainHost;
  }

  // Does what note() does for "Connection: keep-alive".
  void note_keep_alive() noexcept { flags_ |= kKeepAlive; }

  // Completes the request and returns true if the head is plain, as most are: "GET /... HTTP/1.1",
  // one plain Host, and no field about a body, an upgrade or the end of the connection.
  [[nodiscard]] bool judge_plain(Request& request) const noexcept {
    if ((flags_ & ~kKeepAlive) != (kPlainLine | kHost | kPlainHost)) return false;
    request.body = {};
    request.upgrade = {};
    request.content_length = 0;
    request.form = TargetForm::origin;
    request.chunked = false;
    request.has_content_length = false;
    request.keep_alive = true;
    request.expect_continue = false;
    return true;
  }

  // Judges the whole head and completes the request. Its method, target and version must be set.
  [[nodiscard]] Verdict judge(const Limits& limits, Request& request) const noexcept;

 private:
  enum Flag : std::uint32_t {
    kHost = 1U << 0U,
    kHostTwice = kHost << 1U,  // see note_host()
    kClose = 1U << 2U,
    kKeepAlive = 1U << 3U,
    kUpgrade = 1U << 4U,
    kContinue = 1U << 5U,
    kOtherExpectation = 1U << 6U,
    kLength = 1U << 7U,
    kBadLength = 1U << 8U,
    kCoding = 1U << 9U,        // a Transfer-Encoding field
    kChunked = 1U << 10U,      // a chunked coding
    kOtherCoding = 1U << 11U,  // a well-formed coding other than chunked
    kBadCoding = 1U << 12U,
    kProtocol = 1U << 13U,  // an Upgrade field
    kPlainHost = 1U << 14U,
    kPlainLine = 1U << 15U,
    kBehindChunked = 1U << 16U,  // a coding after chunked
  };

  void note_host(std::string_view value, Request& request) noexcept {
    flags_ |= kHost | (flags_ & kHost) << 1U;  // kHostTwice if kHost was set already
    request.host = value;
  }
  void note_connection(std::string_view value) noexcept {
    flags_ |= is_any_case(value, "keep-alive") ? kKeepAlive : connection_options(value);
  }

  // These functions return the flags that a field adds. They are static, so that this object stays
  // in a register.
  static std::uint32_t rare_field(std::string_view name, std::string_view value,
                                  std::uint32_t flags, Request& request) noexcept;
  static std::uint32_t connection_options(std::string_view value) noexcept;
  static std::uint32_t expectations(std::string_view value) noexcept;
  static std::uint32_t length(std::string_view value, std::uint32_t flags,
                              std::uint64_t& out) noexcept;
  static std::uint32_t codings(std::string_view value, std::uint32_t flags) noexcept;
  static Verdict judge_framing(const Limits& limits, const Request& request,
                               std::uint32_t flags) noexcept;

  std::uint32_t flags_ = 0;
};

}  // namespace reactor::http
