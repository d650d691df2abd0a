// SPDX-License-Identifier: MIT
// Deaf listeners: any process that shares a listening socket can end it in all of them by
// shutdown(2), or change what it lets in (a filter, its backlog, other options), so one worker can
// do that to the whole server. It can also make accept(2) wait in all of them (O_NONBLOCK), which
// stops their loops. Private to prefork.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/net/address.h"

namespace reactor::prefork {

// What decides which connections a TCP listener lets in, and whether accept(2) returns without one.
// Options that the system does not have are 0.
struct Admission {
  // Of a socket that is not TCP: as below.
  [[nodiscard]] static Admission of(int listener) noexcept;

  bool listens = true;
  bool filtered = false;      // SO_ATTACH_FILTER; while the server serves none is ours
  bool locked = false;        // SO_LOCK_FILTER: nobody can remove the filter, or set one
  std::uint32_t backlog = 0;  // listen(2)
  int device = 0;             // SO_BINDTOIFINDEX
  int min_ttl = 0;            // IP_MINTTL
  int min_hops = 0;           // IPV6_MINHOPCOUNT
  bool blocks = false;        // no O_NONBLOCK; known of each socket
  friend bool operator==(const Admission&, const Admission&) = default;
};

class DeafListeners {
 public:
  // Which of these listening sockets were shut down, have a filter, block, or let in others than
  // when this function saw them for the first time; their indices. One poll(2), and some calls of
  // getsockopt(2) and fcntl(2) for each.
  [[nodiscard]] std::vector<std::size_t> find(std::span<const int> listeners);

  // Lets a TCP socket listen as before, for all processes that share it. `address` is what it was
  // bound to, as the kernel may have let go of the port. Processes that wait in accept(2) come back
  // with EINVAL. Connections that waited in the queue of one that was shut down, or blocks, are
  // lost. Errors: those of bind(2), listen(2); operation_not_permitted
  // if an option can't be set back.
  [[nodiscard]] Result<> repair(int listener, const Address& address) const;

  // This number stands for a socket that find() has not seen.
  void forget(int listener) { seen_.erase(listener); }

 private:
  [[nodiscard]] bool is_sound(int listener);

  std::map<int, Admission> seen_;
};

}  // namespace reactor::prefork
