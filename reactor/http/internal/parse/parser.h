// SPDX-License-Identifier: MIT
// RequestParser parses the head of an HTTP/1.x request (RFC 9112) incrementally, without I/O or
// copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string_view>

#include "reactor/http/limits.h"
#include "reactor/http/request.h"

namespace reactor::http {

class HeadRules;
struct ParseCursor;

// ParseProgress says where the parsing of an unfinished head continues. Besides it, a connection
// keeps only the bytes of the head. Each request needs a fresh ParseProgress. parse() leaves it
// fresh when the head is complete.
struct ParseProgress {
  std::uint32_t offset = 0;      // bytes that were checked so far
  std::uint32_t line = 0;        // offset of the request line, later of the header section
  std::uint16_t fields = 0;      // field lines that have begun
  std::uint8_t phase = 0;        // a Phase
  std::uint8_t empty_lines = 0;  // skipped before the request line

  // Returns whether no byte of the request was seen yet.
  [[nodiscard]] bool fresh() const noexcept { return offset == 0; }
};

struct ParseResult {
  enum class State : std::uint8_t { complete, incomplete, error };
  static constexpr std::uint32_t kWhole = 0xffffffff;

  State state = State::incomplete;
  // complete: the request has neither content nor Upgrade. This is only a hint for a fast path, and
  // may be false for such a request too.
  bool plain = false;
  // error: the status for the response: 400, 413, 414, 417, 431, 501 or 505.
  std::uint16_t status = 0;
  // complete: the length of the head; the body or the next request follows. error: the offset of
  // the byte that broke the rule, or of the first byte beyond a limit. It is kWhole if no single
  // byte is wrong: well-formed fields contradict each other, or one has a forbidden meaning.
  std::uint32_t consumed = 0;
  const char* reason = "";  // error: a text for the log; not from the peer, valid forever

  [[nodiscard]] bool complete() const noexcept { return state == State::complete; }
  [[nodiscard]] bool incomplete() const noexcept { return state == State::incomplete; }
  [[nodiscard]] bool error() const noexcept { return state == State::error; }
};

// ScanPath says how bytes are searched. `native` uses the widest vector instructions that the build
// allows (AVX2, SSE2, NEON). If there are none, `native` does the same as `portable`, which works
// on machine words. Both have the same outcome.
enum class ScanPath : std::uint8_t { native, portable };

// One parser serves all connections of a thread: the state of each request is in its ParseProgress.
// The parser is strict: if RFC 9112 allows a recipient to repair something (bare LF, obs-fold,
// repeated Content-Length, ...), that is an error here, because another recipient on the path may
// have repaired it differently.
class RequestParser {
 public:
  // Allocates the room for limits.fields fields. Nothing is allocated later.
  explicit RequestParser(const Limits& limits = {}, ScanPath path = ScanPath::native);

  // Parses the head of the request that starts at the first byte of `input`.
  //
  // complete: `request` is set. The bytes after `consumed` were not looked at.
  // incomplete: call again with the same progress and with more input. The new input must start
  //   with the same bytes, which may have moved. The work is linear in the bytes, however many
  //   calls there are. A byte that no valid request can have at its position is an error as soon as
  //   it arrives. A byte beyond a limit is an error, too, so the input never needs to be longer
  //   than max_head(). The meaning of fields (Host, Content-Length, ...) is judged at the end of
  //   the head.
  // error: respond with `status`, close the connection, and read nothing more, because the end of
  //   this request is unknown. Progress and request are then unspecified.
  // The outcome depends on the bytes alone, not on how they were cut.
  //
  // Not thread-safe. Callbacks may call it, but the fields of the earlier request are then invalid.
  ParseResult parse(std::string_view input, ParseProgress& progress, Request& request) noexcept;

  [[nodiscard]] const Limits& limits() const noexcept { return limits_; }

  // Returns the length in bytes of the longest head that the limits allow.
  [[nodiscard]] std::size_t max_head() const noexcept;

 private:
  template <class Block>
  ParseResult parse_head(std::string_view input, ParseProgress& progress,
                         Request& request) noexcept;
  template <class Block>
  ParseResult take_mixed(std::string_view input, ParseProgress& progress, Request& request,
                         ParseCursor cursor, HeadRules rules) noexcept;
  template <class Block>
  ParseResult take_odd_line(std::string_view input, ParseProgress& progress, Request& request,
                            ParseCursor& cursor) noexcept;
  template <class Block>
  ParseResult resume(std::string_view input, ParseProgress& progress, Request& request) noexcept;

  Limits limits_;
  std::size_t window_;  // bytes that the fast path may look at; no limit is exceeded in them
  std::unique_ptr<Field[]> fields_;
  ScanPath path_;
};

}  // namespace reactor::http
