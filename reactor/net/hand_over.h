// SPDX-License-Identifier: MIT
// A hand-over moves an open connection to another process that runs the same kind of server. The
// other process gets a copy of the connection's descriptor, and the state that its handler needs. A
// reload, an upgrade and a retiring worker use a hand-over, so that clients notice nothing.
//
//   process that ends                                  process that continues
//
//   Service::hand_over(target)
//     stops accepting, and offers each connection
//     that is idle, now or later:
//       Stream::offer_to(target)
//         StreamHandler::on_hand_over(state) -> now
//         HandOverTarget::send(fd, message)  ------->  Service::adopt_connection(fd, message)
//         StreamHandler::on_close()                      Stream::start_adopted(state)
//                                                          StreamHandler::on_adopt(state)
//
// The target decides how the message travels. Between workers of a prefork master it goes through a
// unix socket (prefork/internal/siblings/hand_over_sender.h). A connection whose handler answers
// HandOver::no, or that is still not idle after two seconds, is asked by on_shutdown() to finish in
// the old process. The parts of Stream, ServerBase and ConnectionSet that take part in this are in
// hand_over.cc.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace reactor {

// HandOver is a handler's answer to StreamHandler::on_hand_over(): whether another process may
// continue this connection.
enum class HandOver : std::uint8_t {
  no,     // never: on_shutdown() follows
  later,  // not yet: it is asked again
  now,
};

// HandOverReply is the answer of HandOverTarget::send().
enum class HandOverReply : std::uint8_t {
  taken,  // a copy of the descriptor is on its way
  busy,   // there is no room now: see Service::offer_again()
  never,  // this connection can't be moved: finish it here
};

// HandledBy tells which handler a connection had before it moved: the one that its server made, or
// another one that replaced it, as after an HTTP upgrade.
enum class HandledBy : std::uint8_t { server, other };

// HandOverTarget is the way to another process that has the same kind of server.
class HandOverTarget {
 public:
  // Sends a copy of the connection `fd` together with `message`, which the other process passes to
  // Service::adopt_connection(). The caller keeps `fd`. An implementation may end the connection
  // and destroy its server, but must not write to the connection.
  virtual HandOverReply send(int fd, std::span<const std::byte> message) noexcept = 0;

 protected:
  ~HandOverTarget() = default;
};

}  // namespace reactor
