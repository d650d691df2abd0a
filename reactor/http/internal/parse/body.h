// SPDX-License-Identifier: MIT
// ChunkedDecoder decodes the chunked transfer coding (RFC 9112 section 7.1) incrementally, without
// copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "reactor/http/limits.h"

namespace reactor::http {

// A ChunkedDecoder decodes one body. It has 24 bytes, may be copied, and allocates nothing. It is
// strict: a chunk size has only hexadecimal digits, each line ends in CRLF, and extensions follow
// the grammar (with its bad whitespace). Extensions and trailers are checked and dropped, so that
// nothing in a trailer can reach the framing or a handler.
class ChunkedDecoder {
 public:
  enum class State : std::uint8_t {
    data,   // `data` holds bytes of the body: use them, then call again with the rest of the input
    more,   // the whole input was consumed, and the body is not complete
    done,   // the body is complete; the input after `consumed` is the next request
    error,  // respond with `status` and close
  };

  struct Step {
    State state = State::more;
    std::uint16_t status = 0;  // error: 400, 413 or 431
    // Bytes of the input to drop, including `data`. error: the offset of the wrong byte.
    std::size_t consumed = 0;
    std::string_view data{};  // data: a part of the input, never empty
    const char* reason = "";  // error: a text for the log, valid forever
  };

  // Consumes bytes from the front of the input, at most to the end of one piece of data. Checks the
  // size that a chunk announces against limits.body before the data arrives. The result for the
  // whole body does not depend on how the input is divided into calls. Each call after `done` or
  // `error` returns the same state and consumes nothing. Only the call that finds an error returns
  // its HTTP status and reason; later calls return 400 and a general reason. Not thread-safe.
  // Callbacks may call it.
  Step next(std::string_view input, const Limits& limits) noexcept;

  // Returns the sum of the sizes of all chunks that have begun, even if their data has not arrived
  // yet.
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

 private:
  enum class Phase : std::uint8_t;
  struct Fault;

  Fault take_byte(char byte, const Limits& limits) noexcept;
  Fault take_size_line(char byte, const Limits& limits) noexcept;
  Fault take_extension(char byte, const Limits& limits) noexcept;
  static Phase behind_extension_byte(Phase phase, char byte) noexcept;
  Fault take_trailer(char byte, const Limits& limits) noexcept;
  Fault end_of_size(const Limits& limits) noexcept;
  void begin_chunk() noexcept;

  // Bytes of the chunk's data still to come. While the size is being read, the size so far.
  std::uint64_t remaining_ = 0;
  std::uint64_t total_ = 0;
  std::uint32_t overhead_ = 0;  // bytes of extensions so far, later of trailers
  Phase phase_{};
  std::uint8_t digits_ = 0;  // digits of the chunk size so far
};

}  // namespace reactor::http
