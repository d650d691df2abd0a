// SPDX-License-Identifier: MIT
// Deaf listeners: several processes share a listening socket, and each of them can spoil it for
// all. shutdown(2) ends it. A filter, a small backlog and other options keep connections out. So
// one worker can cut off the whole server. It can also clear O_NONBLOCK. Then accept(2) waits in
// all processes, and their loops stand still. Private to prefork.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/net/address.h"

namespace reactor::prefork {

// The settings that decide which connections a TCP listener lets in, and whether accept(2) blocks.
// Options that the system does not have are 0.
struct Admission {
  // Reads the settings of `listener`. For a socket that is not TCP, all but `blocks` have the
  // defaults below.
  [[nodiscard]] static Admission of(int listener) noexcept;

  bool listens = true;
  bool filtered = false;      // SO_ATTACH_FILTER; the server sets none while it serves
  bool locked = false;        // SO_LOCK_FILTER: nobody can remove the filter, or set one
  std::uint32_t backlog = 0;  // listen(2)
  int device = 0;             // SO_BINDTOIFINDEX
  int min_ttl = 0;            // IP_MINTTL
  int min_hops = 0;           // IPV6_MINHOPCOUNT
  bool blocks = false;        // O_NONBLOCK is off; known for every socket
  friend bool operator==(const Admission&, const Admission&) = default;
};

class DeafListeners {
 public:
  // Returns the indices of the deaf listeners. A listener is deaf if it was shut down, has a
  // filter, is blocking, or has other settings than at the first call with this listener. Costs one
  // poll(2) for all, and a few calls of getsockopt(2) and fcntl(2) for each.
  [[nodiscard]] std::vector<std::size_t> find(std::span<const int> listeners);

  // Makes a TCP socket listen as before, for all processes that share it. Binds it to `address`,
  // its own address, again, because the kernel may have released the port. Processes that wait in
  // accept(2) return with EINVAL. If the socket was shut down or blocks, the connections in its
  // queue are lost. Errors: those of bind(2) and listen(2); operation_not_permitted if an option
  // can't be set back.
  [[nodiscard]] Result<> repair(int listener, const Address& address) const;

  // Forgets the settings that find() saw at this number, because it stands for another socket now.
  void forget(int listener) { seen_.erase(listener); }

 private:
  [[nodiscard]] bool is_sound(int listener);

  std::map<int, Admission> seen_;
};

}  // namespace reactor::prefork
