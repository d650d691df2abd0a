// SPDX-License-Identifier: MIT
// ChunkedDecoder: the chunked transfer coding (RFC 9112 section 7.1), incremental, without copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "reactor/http/limits.h"

namespace reactor::http {

// One for each body; copyable, 24 octets, no memory of its own. Strict: chunk sizes are hexadecimal
// digits and nothing else, every line ends in CRLF, extensions follow the grammar, its bad
// whitespace included. Extensions and trailers are checked and dropped: nothing in a trailer ever
// reaches the framing or a handler.
class ChunkedDecoder {
 public:
  enum class State : std::uint8_t {
    data,   // `data` holds octets of the body: use them, then call again with the rest of the input
    more,   // all of the input was taken and the body goes on
    done,   // the body is over; what follows `consumed` is the next request
    error,  // answer `status` and close
  };

  struct Step {
    State state = State::more;
    std::uint16_t status = 0;  // error: 400, 413 or 431
    std::size_t consumed = 0;  // octets of the input to drop, those of `data` among them; error:
                               // those before the one that is wrong
    std::string_view data{};   // data: a part of the input, never empty
    const char* reason = "";   // error: a text for the log; lasts for ever
  };

  // Takes octets from the front of the input, up to the end of one piece of data. limits.body is
  // judged by the size that a chunk announces, before its data comes. The result for the body as a
  // whole does not depend on how the input was cut. After `done` or `error` each further call says
  // the same, an error without its first reason, and takes nothing. Not thread-safe; a callback may
  // call it.
  Step next(std::string_view input, const Limits& limits) noexcept;

  // Octets of content that the chunks begun so far hold together, whether received or announced.
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

 private:
  enum class Phase : std::uint8_t;
  struct Fault;

  Fault take_octet(char octet, const Limits& limits) noexcept;
  Fault take_size_line(char octet, const Limits& limits) noexcept;
  Fault take_extension(char octet, const Limits& limits) noexcept;
  static Phase behind_extension_octet(Phase phase, char octet) noexcept;
  Fault take_trailer(char octet, const Limits& limits) noexcept;
  Fault end_of_size(const Limits& limits) noexcept;
  void begin_chunk() noexcept;

  std::uint64_t remaining_ = 0;  // of the chunk's data; its size while the line is read
  std::uint64_t total_ = 0;
  std::uint32_t overhead_ = 0;  // octets of extensions, then of trailers
  Phase phase_{};
  std::uint8_t digits_ = 0;  // of the chunk size
};

}  // namespace reactor::http
