// SPDX-License-Identifier: MIT
// Limits: how much of one request a peer may make us hold or read.
#pragma once

#include <cstddef>
#include <cstdint>

namespace reactor::http {

// Every figure counts octets on the wire unless it says otherwise. What goes beyond one is answered
// with the status named here and the connection is closed.
struct Limits {
  // The request line without its CRLF (414; 501 where the method alone is longer). RFC 9112 section
  // 3 asks for 8,000 at least. At most 1 GiB.
  std::size_t request_line = 8192;
  // The whole header section: field lines and the empty line behind them (431). At most 1 GiB.
  std::size_t header_bytes = 16384;
  // Field lines of the header section (431). At most 65,535.
  std::size_t fields = 100;
  // The content: the Content-Length, or the decoded octets of a chunked body (413).
  std::uint64_t body = 1024 * 1024;
  // The extensions of all chunks of one body together (400).
  std::uint32_t chunk_extensions = 4096;
  // The trailer section (431).
  std::uint32_t trailer_bytes = 4096;
};

}  // namespace reactor::http
