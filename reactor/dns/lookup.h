// SPDX-License-Identifier: MIT
// Lookup: one question, which a Query and c-ares hold together. Private to dns/.
#pragma once

#include <system_error>
#include <vector>

#include "reactor/dns/resolver.h"

struct ares_addrinfo;

namespace reactor::dns {

// Freed by the last of its two holders. c-ares can't forget a single question, so one whose Query
// is gone stays until its answer or time-out comes, unless it is the last.
struct Lookup {
  Lookup(Loop& loop, std::uint16_t port_wanted, Resolver::Done callback, SourceLocation where);

  // c-ares's callback. It only stores: the user is called by the loop, where an exception may leave
  // (G6) and the resolver may be destroyed.
  static void on_answer(void* self, int status, int timeouts, ares_addrinfo* answer) noexcept;
  void store(int status, const ares_addrinfo* answer);
  // To be called back with `error`, or with the addresses where that is none.
  void end(std::error_code why) noexcept;
  void deliver();

  Resolver* resolver = nullptr;  // while c-ares has it
  bool held = true;              // by a Query
  std::uint16_t port;
  std::error_code error;
  std::vector<Address> addresses;
  Resolver::Done done;
  Timer delivery;
};

}  // namespace reactor::dns
