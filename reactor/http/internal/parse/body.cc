// SPDX-License-Identifier: MIT
// This file reads the chunked transfer coding with the state machine of ChunkedDecoder::Phase.
// Lines are parsed byte by byte. Chunk data is passed on in one piece, as far as the input has it.
//
//          +----------------------------------------------------+
//          v                                                    |
//   size, digits -> (extension) -> size_lf -> data -> data_cr -> data_lf
//                                     |
//                          size 0     v
//   (name -> value -> value_lf) <-> trailer -> last_lf -> done
#include "reactor/http/internal/parse/body.h"

#include <algorithm>

#include "reactor/http/internal/parse/chars.h"

namespace reactor::http {

enum class ChunkedDecoder::Phase : std::uint8_t {
  size,  // before the first digit
  digits,
  // Chunk extensions, RFC 9112 section 7.1.1: *( BWS ";" BWS token [ BWS "=" BWS ( token /
  // quoted-string ) ] ). Bad whitespace (BWS) must be accepted where the grammar has it (RFC 9110
  // section 5.6.3), and nowhere else. So blanks after the size are accepted only if an extension
  // follows.
  size_blank,
  ext_begin,  // after ";"
  ext_name,
  ext_blank,  // after a name and blanks
  ext_equals,
  ext_token,
  ext_quoted,
  ext_escape,
  ext_closed,  // after the closing quote
  ext_after,   // after a value and blanks
  size_lf,
  data,
  data_cr,
  data_lf,
  trailer,  // at the start of a trailer line or of the last line
  trailer_name,
  trailer_value,
  trailer_lf,
  last_lf,
  done,
  failed,
};

// Fault tells why a byte was refused. A status of 0 means that it was accepted.
struct ChunkedDecoder::Fault {
  std::uint16_t status = 0;
  const char* reason = "";
};

namespace {

constexpr int kMaxDigits = 16;  // of a 64-bit size in hexadecimal; leading zeros count

unsigned hex_value(char byte) {
  return byte <= '9' ? static_cast<unsigned>(byte - '0')
                     : static_cast<unsigned>((byte | 0x20) - 'a') + 10;
}

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::next(std::string_view input, const Limits& limits) noexcept {
  std::size_t at = 0;
  while (at < input.size() && phase_ < Phase::done) {
    if (phase_ == Phase::data) {
      const auto left = static_cast<std::uint64_t>(input.size() - at);
      const auto size = static_cast<std::size_t>(std::min(left, remaining_));
      remaining_ -= size;
      if (remaining_ == 0) phase_ = Phase::data_cr;
      return {.state = State::data, .consumed = at + size, .data = input.substr(at, size)};
    }
    const Fault fault = take_byte(input[at], limits);
    if (fault.status != 0) {
      phase_ = Phase::failed;
      return {
          .state = State::error, .status = fault.status, .consumed = at, .reason = fault.reason};
    }
    ++at;
  }
  if (phase_ == Phase::failed) {
    return {.state = State::error, .status = 400, .reason = "the body was refused before"};
  }
  return {.state = phase_ == Phase::done ? State::done : State::more, .consumed = at};
}

ChunkedDecoder::Fault ChunkedDecoder::take_byte(char byte, const Limits& limits) noexcept {
  switch (phase_) {
    case Phase::data_cr:
      phase_ = Phase::data_lf;
      return byte == '\r' ? Fault{} : Fault{400, "chunk data longer than its size (RFC 9112 7.1)"};
    case Phase::data_lf:
      phase_ = Phase::size;
      return byte == '\n' ? Fault{} : Fault{400, "bare CR behind chunk data (RFC 9112 7.1)"};
    default:
      return phase_ < Phase::data ? take_size_line(byte, limits) : take_trailer(byte, limits);
  }
}

ChunkedDecoder::Fault ChunkedDecoder::take_size_line(char byte, const Limits& limits) noexcept {
  if (phase_ == Phase::size_lf) {
    if (byte != '\n') return {400, "bare CR in a chunk line (RFC 9112 7.1)"};
    begin_chunk();
    return {};
  }
  if (phase_ > Phase::digits) return take_extension(byte, limits);
  if (chars::is(chars::kHex, byte)) {
    if (digits_ == kMaxDigits) return {400, "chunk size out of range"};
    ++digits_;
    remaining_ = remaining_ << 4U | hex_value(byte);
    phase_ = Phase::digits;
    return {};
  }
  if (phase_ == Phase::digits && byte == '\r') return end_of_size(limits);
  const bool extended = phase_ == Phase::digits && (byte == ';' || chars::blank(byte));
  if (!extended) return {400, "malformed chunk size (RFC 9112 7.1)"};
  phase_ = byte == ';' ? Phase::ext_begin : Phase::size_blank;
  return {};
}

// Checks the size against the limit as soon as it is known, before the line's LF and any data.
ChunkedDecoder::Fault ChunkedDecoder::end_of_size(const Limits& limits) noexcept {
  if (remaining_ > limits.body || total_ > limits.body - remaining_) {
    return {413, "chunked body above the limit of a body"};
  }
  phase_ = Phase::size_lf;
  return {};
}

void ChunkedDecoder::begin_chunk() noexcept {
  total_ += remaining_;
  digits_ = 0;
  if (remaining_ != 0) {
    phase_ = Phase::data;
    return;
  }
  phase_ = Phase::trailer;
  overhead_ = 0;
}

ChunkedDecoder::Fault ChunkedDecoder::take_extension(char byte, const Limits& limits) noexcept {
  if (++overhead_ > limits.chunk_extensions) return {400, "chunk extensions too long"};
  const bool may_end =
      phase_ == Phase::ext_name || phase_ == Phase::ext_token || phase_ == Phase::ext_closed;
  if (may_end && byte == '\r') return end_of_size(limits);
  phase_ = behind_extension_byte(phase_, byte);
  return phase_ == Phase::failed ? Fault{400, "malformed chunk extension (RFC 9112 7.1.1)"}
                                 : Fault{};
}

ChunkedDecoder::Phase ChunkedDecoder::behind_extension_byte(Phase phase, char byte) noexcept {
  const bool token = chars::is(chars::kToken, byte);
  const bool blank = chars::blank(byte);
  switch (phase) {
    case Phase::size_blank:
      if (blank) return phase;
      return byte == ';' ? Phase::ext_begin : Phase::failed;
    case Phase::ext_begin:
      if (blank) return phase;
      return token ? Phase::ext_name : Phase::failed;
    case Phase::ext_name:
      if (token) return phase;
      [[fallthrough]];
    case Phase::ext_blank:
      if (blank) return Phase::ext_blank;
      if (byte == '=') return Phase::ext_equals;
      return byte == ';' ? Phase::ext_begin : Phase::failed;
    case Phase::ext_equals:
      if (blank) return phase;
      if (byte == '"') return Phase::ext_quoted;
      return token ? Phase::ext_token : Phase::failed;
    case Phase::ext_quoted:
      if (byte == '"') return Phase::ext_closed;
      if (byte == '\\') return Phase::ext_escape;
      return chars::is(chars::kQuoted, byte) ? phase : Phase::failed;
    case Phase::ext_escape:
      return chars::is(chars::kValue, byte) ? Phase::ext_quoted : Phase::failed;
    case Phase::ext_token:
      if (token) return phase;
      [[fallthrough]];
    default:  // ext_closed, ext_after
      if (blank) return Phase::ext_after;
      return byte == ';' ? Phase::ext_begin : Phase::failed;
  }
}

ChunkedDecoder::Fault ChunkedDecoder::take_trailer(char byte, const Limits& limits) noexcept {
  if (++overhead_ > limits.trailer_bytes) return {431, "trailer section too long"};
  switch (phase_) {
    case Phase::trailer:
      phase_ = byte == '\r' ? Phase::last_lf : Phase::trailer_name;
      if (byte == '\r' || chars::is(chars::kToken, byte)) return {};
      return {400, "malformed trailer (RFC 9112 7.1.2)"};
    case Phase::trailer_name:
      if (byte == ':') phase_ = Phase::trailer_value;
      if (byte == ':' || chars::is(chars::kToken, byte)) return {};
      return {400, "malformed trailer name (RFC 9112 7.1.2)"};
    case Phase::trailer_value:
      if (byte == '\r') phase_ = Phase::trailer_lf;
      if (byte == '\r' || chars::is(chars::kValue, byte)) return {};
      return {400, "control character or bare LF in a trailer (RFC 9112 7.1.2)"};
    default:  // trailer_lf, last_lf
      phase_ = phase_ == Phase::last_lf ? Phase::done : Phase::trailer;
      return byte == '\n' ? Fault{} : Fault{400, "bare CR in the trailer section (RFC 9112 7.1.2)"};
  }
}

}  // namespace reactor::http
