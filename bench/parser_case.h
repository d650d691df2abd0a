// SPDX-License-Identifier: MIT
// The request that every parser is given: 165 octets, as load generators send them.
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

// What a server wants to know of it: everybody collects as much.
struct Seen {
  std::string_view target;
  unsigned fields = 0;
  unsigned complete = 0;
};

}  // namespace bench
