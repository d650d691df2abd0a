// SPDX-License-Identifier: MIT
// RequestParser: the head of an HTTP/1.x request (RFC 9112), incremental, without I/O or copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "reactor/http/limits.h"
#include "reactor/http/request.h"

namespace reactor::http {

class Facts;   // internal
struct Place;  // internal

// Where the parsing of one unfinished request goes on: all that a connection keeps of it. A fresh
// one for each request; parse() leaves it fresh when the request is complete.
struct ParseProgress {
  std::uint32_t offset = 0;      // octets that were checked
  std::uint32_t line = 0;        // where the request line, later the header section, begins
  std::uint16_t fields = 0;      // field lines begun
  std::uint8_t phase = 0;        // the parser's
  std::uint8_t empty_lines = 0;  // skipped before the request line

  // Whether no octet of a request was seen yet.
  [[nodiscard]] bool fresh() const noexcept { return offset == 0; }
};

struct ParseResult {
  enum class State : std::uint8_t { complete, incomplete, error };
  static constexpr std::uint32_t kWhole = 0xffffffff;

  State state = State::incomplete;
  // complete: surely neither content nor Upgrade. A hint: it may be false where there is neither.
  bool plain = false;
  std::uint16_t status = 0;  // error: what to answer: 400, 413, 414, 417, 431, 501 or 505
  // complete: bytes of the head; the body or the next request follows. error: the offset of the
  // byte that broke the rule, or of the first one beyond a limit; kWhole if fields that are each
  // well-formed broke it together, or by their meaning.
  std::uint32_t consumed = 0;
  const char* reason = "";  // error: a text for the log, never from the peer; lasts for ever

  [[nodiscard]] bool complete() const noexcept { return state == State::complete; }
  [[nodiscard]] bool incomplete() const noexcept { return state == State::incomplete; }
  [[nodiscard]] bool error() const noexcept { return state == State::error; }
};

// How octets are searched. `native`: by the widest vector instructions that the build allows (AVX2,
// SSE2, NEON), else as `portable`: by machine words. The outcomes are the same.
enum class ScanPath : std::uint8_t { native, portable };

// One serves all connections of a thread: what belongs to a request is in its ParseProgress.
// Strict: what RFC 9112 lets a recipient repair (bare LF, obs-fold, repeated Content-Length, ...)
// is an error, for another recipient on the path may have repaired it otherwise.
class RequestParser {
 public:
  // Allocates the room for limits.fields fields, and never again.
  explicit RequestParser(const Limits& limits = {}, ScanPath path = ScanPath::native);

  // Parses the head of the request that starts at input's first octet.
  //
  // complete: `request` is set; the octets behind `consumed` were not looked at.
  // incomplete: call again with the same progress and the same octets at the front, moved or not,
  //   and more behind them. The work is linear in the octets, however many calls there are. An
  //   octet that no valid request has at its place is an error as soon as it is there, so is one
  //   beyond a limit; hence the input needs never be longer than max_head(). Facts of whole fields
  //   (Host, Content-Length, ...) are judged at the end of the head.
  // error: answer `status`, close the connection, read nothing behind it: nobody knows where this
  //   request ends. progress and request are then unspecified.
  // The outcome depends on the octets alone, not on how they were cut.
  //
  // Not thread-safe; a callback may call it, and that ends the life of the earlier request's
  // fields.
  ParseResult parse(std::string_view input, ParseProgress& progress, Request& request) noexcept;

  [[nodiscard]] const Limits& limits() const noexcept { return limits_; }

  // The longest head that the limits allow, in octets.
  [[nodiscard]] std::size_t max_head() const noexcept;

 private:
  template <class Block>
  ParseResult parse_head(std::string_view input, ParseProgress& progress,
                         Request& request) noexcept;
  template <class Block>
  ParseResult take_mixed(std::string_view input, ParseProgress& progress, Request& request,
                         Place place, Facts facts) noexcept;
  template <class Block>
  ParseResult take_odd_line(std::string_view input, ParseProgress& progress, Request& request,
                            Place& place) noexcept;
  template <class Block>
  ParseResult resume(std::string_view input, ParseProgress& progress, Request& request) noexcept;

  Limits limits_;
  std::size_t window_;  // what is surely within the limits on lines and on the section
  std::unique_ptr<Field[]> fields_;
  ScanPath path_;
};

}  // namespace reactor::http
