// SPDX-License-Identifier: MIT
// All parsers get this request: 165 bytes, as load generators send it.
#pragma once

#include <string_view>

namespace bench {

inline constexpr std::string_view kRequest =
    "GET /plaintext HTTP/1.1\r\n"
    "Host: tfb-server\r\n"
    "Accept: text/plain,text/html;q=0.9,application/xhtml+xml;q=0.9,application/xml;q=0.8,*/*;q=0.7"
    "\r\n"
    "Connection: keep-alive\r\n\r\n";
static_assert(kRequest.size() == 165);

// The parts of the request that a server needs. Every parser under test collects the same.
struct Seen {
  std::string_view target;
  unsigned fields = 0;
  unsigned complete = 0;
};

}  // namespace bench
