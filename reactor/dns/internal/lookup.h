// SPDX-License-Identifier: MIT
// Lookup is one DNS question, which a Query and c-ares share. Private to dns/.
#pragma once

#include <system_error>
#include <vector>

#include "reactor/dns/resolver.h"

struct ares_addrinfo;

namespace reactor::dns {

// A Lookup is freed by the last of its two holders. c-ares can't cancel a single question. After a
// Query is destroyed, its question stays with c-ares until it is answered or times out, or until no
// Query of the resolver waits any more.
struct Lookup {
  Lookup(Loop& loop, std::uint16_t port_wanted, Resolver::Done callback, SourceLocation where);

  // The callback for c-ares. It only stores the answer. The loop calls the user's callback later: a
  // callback that the loop calls may throw (G6) and may destroy the resolver.
  static void on_answer(void* self, int status, int timeouts, ares_addrinfo* answer) noexcept;
  void store(int status, const ares_addrinfo* answer);
  // Arranges the callback, with `why` if it is an error, else with the addresses.
  void end(std::error_code why) noexcept;
  void deliver();

  Resolver* resolver = nullptr;  // null once c-ares has answered
  bool held = true;              // whether a Query holds it
  std::uint16_t port;
  std::error_code error;
  std::vector<Address> addresses;
  Resolver::Done done;
  Timer delivery;
};

}  // namespace reactor::dns
