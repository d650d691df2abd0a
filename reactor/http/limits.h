// SPDX-License-Identifier: MIT
// Limits tells how many bytes of one request we read or hold at most.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reactor::http {

// Each limit counts bytes on the wire, unless it says otherwise. A request that exceeds a limit
// gets a response with the status in parentheses, and its connection is closed.
struct Limits {
  // The request line without its CRLF (414; 501 if the method alone is longer). At least 8,000 is
  // recommended (RFC 9112 section 3). At most 1 GiB.
  std::size_t request_line = 8192;
  // The whole header section: the field lines and the empty line after them (431). At most 1 GiB.
  std::size_t header_bytes = 16384;
  // The number of field lines in the header section (431). At most 65,535.
  std::size_t fields = 100;
  // The content: the Content-Length, or the decoded bytes of a chunked body (413).
  std::uint64_t body = 1024 * 1024;
  // All chunk extensions of one body together (400).
  std::uint32_t chunk_extensions = 4096;
  // The trailer section (431).
  std::uint32_t trailer_bytes = 4096;
};

}  // namespace reactor::http
