// SPDX-License-Identifier: MIT
// Poller wraps the kernel's readiness interface in a few calls. Private to the library; not
// installed. Each backend is one file with one class in an unnamed namespace, and hides its
// kernel's differences there. All backends are level-triggered, except for a registration with
// Trigger::edge: an event that is not consumed is reported again.
#pragma once

#include <sys/types.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <system_error>
#include <vector>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/poller/readiness.h"

namespace reactor {

// A Token names a registration. The kernel carries the token (epoll data.u64, kevent udata) instead
// of a descriptor or pointer. If a registration has ended, its events have an older generation than
// the entry with that index in the loop's table, so the loop recognises them as stale in O(1).
struct Token {
  std::uint32_t index = 0;
  std::uint32_t generation = 0;

  [[nodiscard]] constexpr std::uint64_t pack() const noexcept {
    return std::bit_cast<std::uint64_t>(*this);
  }
  [[nodiscard]] static constexpr Token unpack(std::uint64_t packed) noexcept {
    return std::bit_cast<Token>(packed);
  }
  friend constexpr bool operator==(Token, Token) noexcept = default;
};

// PollEvent is the readiness of one descriptor. A batch normally has one event per descriptor.
// kqueue reports reading and writing separately: the backend merges the two events if it can, and
// the loop tolerates two.
struct PollEvent {
  Token token;
  Ready ready;  // hang-up and error are already turned into readable and writable
};

// A backend starts with room for this many events.
inline constexpr std::size_t kFirstBatch = 512;
// Grows a backend's buffer of kernel events to `wanted`, as far as memory allows. Returns how many
// events fit. With less room, a wait returns fewer events and the next wait returns the rest.
template <class Event>
[[nodiscard]] std::size_t grow_batch(std::vector<Event>& batch, std::size_t wanted) noexcept {
  if (batch.size() < wanted) try {
      batch.resize(wanted);
    } catch (const std::bad_alloc&) {
    }
  return std::min(batch.size(), wanted);
}

// The ways to watch a descriptor: see Poller::add(). `edge` is for the loop's own wake-up
// descriptor, `exclusive` for a socket that several processes poll.
enum class Trigger : std::uint8_t { level, edge, exclusive };

// Each Loop has one Poller and uses it on the loop's thread only. In a forked child, only the
// destructor may be called: it closes only descriptors that the child owns, and leaves the parent's
// kernel set alone (G9).
//
// A caller may close a descriptor without remove(). The backend then has to forget the descriptor
// by itself: wait() must neither fail nor spin, modify() with equal interests must return an error,
// and add() of the same number must begin a new registration. Two cases are left to the loop. A
// copy of the open file (dup, fork) keeps an epoll registration alive: the loop then makes a new
// Poller. A backend without knows_files() takes the next file of that number for the old one: the
// loop then calls remove() before each close.
class Poller {
 public:
  virtual ~Poller() = default;
  Poller() = default;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Starts watching `fd`, which may be any number from 0. `interest` must not be none. Two triggers
  // are requests, which a backend may ignore:
  //   Trigger::edge       edge_triggered() tells whether the backend grants it.
  //   Trigger::exclusive  If several pollers watch the descriptor in this way, an event may wake
  //                       only one of them. Such a registration can't be modified: remove it and
  //                       add it again.
  // Errors:
  //   file_exists              The kernel still holds this very open file under this number. (A
  //                            number that was closed and opened again counts as new.)
  //   operation_not_permitted  The file can't be polled, like a regular file (EPERM).
  //   bad_file_descriptor      `fd` is not open.
  virtual std::error_code add(int fd, Interest interest, Token token,
                              Trigger trigger = Trigger::level) = 0;

  // Changes the interest. Neither `before` nor `after` is none. If they are equal, the call only
  // checks whether the kernel still holds this open file.
  // Errors: no_such_file_or_directory or bad_file_descriptor if the kernel no longer holds it.
  // After any other error the registration is as before, unless `token` was new: then it may be
  // gone.
  virtual std::error_code modify(int fd, Interest before, Interest after, Token token) = 0;

  // Ends the registration. Call it before the descriptor is closed. `before` is the present
  // interest. Errors: those of modify(). The registration is gone even after an error.
  virtual std::error_code remove(int fd, Interest before) = 0;

  // Waits up to `timeout` (0: does not wait; kForever: no limit; rounded up to the kernel's
  // resolution) and fills `events` from its start. Returns the number of events, or 0 after a
  // timeout or a signal (EINTR). `events` must have room for at least 64 events, because a word of
  // select's sets has 64 bits.
  virtual Result<std::size_t> wait(std::span<PollEvent> events, Duration timeout) = 0;

  // Returns a descriptor that is readable while events wait, for nesting this poller in another
  // loop. Returns -1 if there is none.
  [[nodiscard]] virtual int backend_fd() const noexcept { return -1; }

  // Returns whether Trigger::edge is granted. If so, each write to the wake-up descriptor gives an
  // event, even if nobody reads the descriptor.
  [[nodiscard]] virtual bool edge_triggered() const noexcept { return false; }

  // Returns whether wait() can tell a closed descriptor from a later one with the same number. If
  // not, wait() reports the readiness of the later descriptor under the token of the closed one, so
  // the caller has to remove each registration before it closes the descriptor. select and
  // libkqueue know descriptors only by number.
  [[nodiscard]] virtual bool knows_files() const noexcept { return true; }

  // Reports the exit of `pid` once, as a readable event of `token` (EVFILT_PROC NOTE_EXIT). The
  // caller still has to call waitpid(2) for the child. Errors: not_supported if the kernel has no
  // such filter; no_such_process.
  virtual std::error_code add_process(pid_t pid, Token token);
  virtual void remove_process(pid_t pid) noexcept;
};

// Makes a poller for `backend`. `automatic` takes the first that works, in the order of
// available_backends(). A named backend that is missing gives Errc::unknown_backend; no other is
// tried. Unless `chosen` is null, it is set to the backend that was made.
[[nodiscard]] Result<std::unique_ptr<Poller>> make_poller(Backend backend,
                                                          Backend* chosen = nullptr);

// Returns `wish` if it is not `automatic`; else the backend named by REACTOR_BACKEND in the
// environment (ignored in set-uid and set-gid programs); else `automatic`. Errors:
// Errc::unknown_backend if the variable names no backend.
[[nodiscard]] Result<Backend> choose_backend(Backend wish);

// Each is defined in the backend's own file, if the system has it.
[[nodiscard]] Result<std::unique_ptr<Poller>> make_epoll_poller();
[[nodiscard]] Result<std::unique_ptr<Poller>> make_kqueue_poller();
[[nodiscard]] Result<std::unique_ptr<Poller>> make_select_poller();

}  // namespace reactor
