// SPDX-License-Identifier: MIT
// HeadLexer is the strict, resumable lexer of request heads. Private to http/.
//
//   start -> method -> target -> version -> field_start -> name -> value -+
//   (CRLFs)                                   |  ^------------------------+
//                                             +-> end
//
// The lexer reads from left to right. It fails at the first byte that no valid request can have at
// that position. If the input ends inside the head, it saves phase and offset in ParseProgress, and
// the next lexer continues in the middle of the token.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "reactor/http/internal/parse/chars.h"
#include "reactor/http/internal/parse/parse_cursor.h"
#include "reactor/http/internal/parse/parser.h"
#include "reactor/http/internal/parse/scan.h"
#include "reactor/http/limits.h"

namespace reactor::http {

inline constexpr std::uint8_t kMaxEmptyLines = 2;  // RFC 9112 section 2.2 asks for one

// Version is the result of reading "HTTP/" DIGIT "." DIGIT CRLF (RFC 9112 section 2.3).
struct Version {
  std::uint16_t status = 0;  // 0: well-formed so far
  bool whole = false;
  std::uint8_t minor = 0;
  std::uint8_t length = 0;
};

// Reads a version, even if the text is only its beginning. `length` is the number of good bytes.
Version read_version(std::string_view text) noexcept;

template <class Block>
class HeadLexer {
 public:
  HeadLexer(std::string_view input, const Limits& limits, Field* fields, ParseProgress& progress,
            Request& request, ParseCursor& cursor)
      : begin_(input.data()),
        input_end_(begin_ + input.size()),
        limits_(limits),
        fields_(fields),
        progress_(progress),
        request_(request),
        cursor_(cursor),
        at_(cursor.at) {}

  // Takes one line at the cursor: the request line with the empty lines before it, a field line, or
  // the empty line at the end. If this returns true, the cursor is at the next field_start or at
  // the end. If it returns false, result() says why: an error, or `incomplete`, and then
  // ParseProgress is set.
  bool take_line() {
    const bool taken = cursor_.phase < Phase::field_start ? request_line() : field_line();
    cursor_.at = at_;
    return taken;
  }

  [[nodiscard]] ParseResult result() const { return result_; }

 private:
  bool request_line() {
    if (cursor_.phase == Phase::start && !empty_lines()) return false;
    limit(limits_.request_line + 2);
    if (cursor_.phase <= Phase::method && !method()) return false;
    if (cursor_.phase <= Phase::target && !target()) return false;
    if (!version()) return false;
    cursor_.section = at_;
    cursor_.phase = Phase::field_start;
    return true;
  }

  // Skips the empty lines that an old client may send after a body (RFC 9112 section 2.2).
  bool empty_lines() {
    for (end_ = input_end_; at_ != end_ && (*at_ == '\r' || *at_ == '\n'); at_ += 2) {
      if (*at_ == '\n') return fail(400, "bare LF before the request (RFC 9112 2.2)");
      if (progress_.empty_lines == kMaxEmptyLines) return fail(400, "more than two empty lines");
      if (end_ - at_ == 1) return suspend(Phase::start);
      if (at_[1] != '\n') return fail(400, "bare CR before the request (RFC 9112 2.2)", at_ + 1);
      ++progress_.empty_lines;
    }
    cursor_.section = at_;
    return at_ != end_ || suspend(Phase::start);
  }

  bool method() {
    const char* const from = at_;
    at_ = scan::token<Block>(begin_, at_, end_);
    if (at_ == end_) return suspend(Phase::method);
    if (*at_ != ' ' || at_ == cursor_.section) return fail(400, wrong_method());
    request_.method_token = {from, at_};
    request_.method = to_method(request_.method_token);
    ++at_;
    return true;
  }

  [[nodiscard]] const char* wrong_method() const {
    constexpr char kTlsHandshake = 0x16;  // RFC 8446 section 5.1
    const bool tls = at_ == cursor_.section && *at_ == kTlsHandshake;
    return tls ? "TLS where plain HTTP is spoken" : "malformed method (RFC 9110 9.1)";
  }

  bool target() {
    const char* const from = at_;
    at_ = scan::target<Block>(begin_, at_, end_);
    if (at_ == end_) return suspend(Phase::target);
    if (*at_ == '%') return cut_or_wrong_triplet();
    if (*at_ != ' ') return fail(400, "byte that no target has, or no version (RFC 9112 3)");
    if (at_[-1] == ' ') return fail(400, "empty target (RFC 9112 3)");
    request_.target = {from, at_};
    ++at_;
    return true;
  }

  // Handles a '%' that does not begin a complete triplet ('%' and two hexadecimal digits). If the
  // input ends inside a triplet, the next call starts again at the '%'.
  bool cut_or_wrong_triplet() {
    const char* digit = at_ + 1;
    if (digit != end_ && chars::is(chars::kHex, *digit)) ++digit;
    if (digit == end_) return suspend(Phase::target);
    return fail(400, "'%' without two hexadecimal digits (RFC 3986 2.1)", digit);
  }

  bool version() {
    const Version version = read_version({at_, end_});
    const char* const wrong = at_ + version.length;
    if (version.status == 505) return fail(505, "major version other than 1 (RFC 9110 2.5)", wrong);
    if (version.status != 0) return fail(400, "malformed version (RFC 9112 2.3)", wrong);
    if (!version.whole) return suspend(Phase::version);
    request_.minor_version = version.minor;
    at_ += version.length;
    return true;
  }

  bool field_line() {
    limit(limits_.header_bytes);
    if (cursor_.phase == Phase::field_start) {
      if (at_ == end_ || *at_ == '\r') return section_end();
      if (cursor_.fields == limits_.fields) return fail(431, "too many fields");
      ++cursor_.fields;
    }
    const char* const from = at_;
    if (cursor_.phase <= Phase::name && !name()) return false;
    const char* const behind = at_;
    if (!value()) return false;
    // If the line was resumed, these views are wrong. That does no harm, because the whole head is
    // then parsed once more.
    Field& field = fields_[cursor_.fields - 1];
    field.name = {from, std::max(from, behind - 1)};
    field.value = chars::trim({behind, at_ - 2});
    cursor_.phase = Phase::field_start;
    return true;
  }

  bool section_end() {
    if (end_ - at_ < 2) return suspend(Phase::field_start);
    if (at_[1] != '\n') return fail(400, "bare CR in the header section (RFC 9112 2.2)", at_ + 1);
    at_ += 2;
    cursor_.phase = Phase::end;
    return true;
  }

  // Takes the name and its colon.
  bool name() {
    at_ = scan::token<Block>(begin_, at_, end_);
    if (at_ == end_) return suspend(Phase::name);
    if (*at_ != ':') return fail(400, wrong_name());
    if (at_[-1] == '\n') return fail(400, "empty field name (RFC 9112 5.1)");
    ++at_;
    return true;
  }

  [[nodiscard]] const char* wrong_name() const {
    if (!chars::blank(*at_)) return "malformed field name (RFC 9110 5.1)";
    return at_[-1] == '\n' ? "folded line, or a blank before the fields (RFC 9112 5.2)"
                           : "blank behind a field name (RFC 9112 5.1)";
  }

  // Takes the value and its CRLF.
  bool value() {
    at_ = scan::value<Block>(begin_, at_, end_);
    if (at_ == end_) return suspend(Phase::value);
    if (*at_ != '\r')
      return fail(400, "control character or bare LF in a field value (RFC 9110 5.5)");
    if (end_ - at_ == 1) return suspend(Phase::value);
    if (at_[1] != '\n') return fail(400, "bare CR in a field value (RFC 9112 2.2)", at_ + 1);
    at_ += 2;
    return true;
  }

  // Limits this part of the head to `bytes` from cursor_.section on.
  void limit(std::size_t bytes) {
    end_ = bounded(cursor_.section, input_end_, bytes);
    bytes_ = bytes;
  }

  // Saves where to continue when more input arrives. Fails instead if the limit is reached.
  bool suspend(Phase phase) {
    if (phase != Phase::start && static_cast<std::size_t>(end_ - cursor_.section) >= bytes_) {
      if (phase == Phase::method) return fail(501, "method as long as a request line may be", end_);
      if (phase < Phase::field_start) return fail(414, "request line too long", end_);
      return fail(431, "header section too long", end_);
    }
    progress_.offset = static_cast<std::uint32_t>(at_ - begin_);
    progress_.line = static_cast<std::uint32_t>(cursor_.section - begin_);
    progress_.fields = static_cast<std::uint16_t>(cursor_.fields);
    progress_.phase = static_cast<std::uint8_t>(phase);
    return false;
  }

  bool fail(std::uint16_t status, const char* reason) { return fail(status, reason, at_); }

  bool fail(std::uint16_t status, const char* reason, const char* wrong) {
    result_ = {.state = ParseResult::State::error,
               .status = status,
               .consumed = static_cast<std::uint32_t>(wrong - begin_),
               .reason = reason};
    return false;
  }

  const char* const begin_;
  const char* const input_end_;
  const Limits& limits_;
  Field* const fields_;
  ParseProgress& progress_;
  Request& request_;
  ParseCursor& cursor_;
  const char* at_;
  const char* end_ = nullptr;  // the end of the input, or the limit if that comes first
  std::size_t bytes_ = 0;      // the limit, in bytes from cursor_.section on
  ParseResult result_;
};

}  // namespace reactor::http
