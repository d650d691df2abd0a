// SPDX-License-Identifier: MIT
// Poller: the kernel's readiness interface, as five calls. Private to the library; not installed.
// Each backend is one file with one class in an unnamed namespace; every difference between the
// kernels ends there. Level-triggered everywhere: an event that is not consumed comes again.
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
#include "reactor/poller/event.h"

namespace reactor {

// Names a registration. The kernel carries it (epoll data.u64, kevent udata), never a descriptor
// and never a pointer: what was retired differs in its generation and is recognised in O(1).
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

// One descriptor's readiness: at most one event per descriptor in a batch, unless the kernel itself
// reports its filters apart (kqueue; the backend merges neighbours, the loop bears the rest).
struct PollEvent {
  Token token;
  Ready ready;  // hang-up and error already turned into readable and writable
};

// The room for a batch of events, in a backend's own form. It grows as far as memory allows: with
// less room a wait gives fewer events, and the next one the rest.
inline constexpr std::size_t kFirstBatch = 512;
template <class Event>
[[nodiscard]] std::size_t grow_batch(std::vector<Event>& batch, std::size_t wanted) noexcept {
  if (batch.size() < wanted) try {
      batch.resize(wanted);
    } catch (const std::bad_alloc&) {
    }
  return std::min(batch.size(), wanted);
}

// How a descriptor is watched: see add(). `edge`: the loop's own wake-up descriptor. `exclusive`: a
// socket that several processes poll.
enum class Trigger : std::uint8_t { level, edge, exclusive };

// One per Loop, used on the loop's thread only. In a forked child only the destructor may be
// called: it closes what the process really owns and leaves the parent's kernel set alone (G9).
class Poller {
 public:
  virtual ~Poller() = default;
  Poller() = default;
  Poller(const Poller&) = delete;
  Poller& operator=(const Poller&) = delete;

  // Starts watching `fd` (>= 0, any number). `interest` is not none. Trigger::edge is a wish, and
  // edge_triggered() tells whether it is granted. Trigger::exclusive is one, too: of the pollers
  // that wait with it, an event need not wake more than one. It can't be modified then, but has to
  // be removed and added again.
  // Errors: file_exists where the kernel still holds this very open file under this number;
  // operation_not_permitted (EPERM) for what can't be polled (a regular file); bad_file_descriptor.
  // A number that was closed behind our back and opened anew counts as new.
  virtual std::error_code add(int fd, Interest interest, Token token,
                              Trigger trigger = Trigger::level) = 0;

  // Changes the interest; neither `before` nor `after` is none. They may be equal, which asks
  // whether the kernel still holds this open file.
  // Errors: no_such_file_or_directory or bad_file_descriptor where it does not.
  virtual std::error_code modify(int fd, Interest before, Interest after, Token token) = 0;

  // Ends it, before the descriptor is closed. `before` is the present interest.
  // Errors: as modify(); there is nothing left to do then.
  virtual std::error_code remove(int fd, Interest before) = 0;

  // Waits up to `timeout` (0: don't; kForever: without end; rounded up to what the kernel can) and
  // fills `events` from its start. Gives their number; 0 after a time-out or a signal (EINTR).
  // `events` holds at least 64: a word of select's bits.
  virtual Result<std::size_t> wait(std::span<PollEvent> events, Duration timeout) = 0;

  // A descriptor that is readable while events wait, to nest this one in another loop; -1: none.
  [[nodiscard]] virtual int backend_fd() const noexcept { return -1; }

  // Whether Trigger::edge is obeyed: a write to the wake-up descriptor is seen without reading it.
  [[nodiscard]] virtual bool edge_triggered() const noexcept { return false; }

  // Whether wait() tells a closed descriptor from a later one of the same number. If not, it
  // reports the later one's readiness for the registration of the closed one, and each registration
  // has to be removed before its descriptor is closed. To select and to libkqueue, a descriptor is
  // nothing but a number.
  [[nodiscard]] virtual bool knows_files() const noexcept { return true; }

  // Reports the exit of `pid`, once, as a readable event of `token` (EVFILT_PROC NOTE_EXIT; the
  // child is left to be waited for). Errors: not_supported where the kernel has no such filter;
  // no_such_process.
  virtual std::error_code add_process(pid_t pid, Token token);
  virtual void remove_process(pid_t pid) noexcept;
};

// Makes the poller of `backend`. `automatic` takes the first that works, in the order of
// available_backends(); a named one that is missing is Errc::unknown_backend, never another.
// `chosen`, unless null, is set to what was made.
[[nodiscard]] Result<std::unique_ptr<Poller>> make_poller(Backend backend,
                                                          Backend* chosen = nullptr);

// `wish` where it is not automatic, else REACTOR_BACKEND from the environment (ignored in programs
// that run set-uid or set-gid), else automatic. Errors: Errc::unknown_backend for another word.
[[nodiscard]] Result<Backend> choose_backend(Backend wish);

// Each defined in its own file, where the system has it.
[[nodiscard]] Result<std::unique_ptr<Poller>> make_epoll_poller();
[[nodiscard]] Result<std::unique_ptr<Poller>> make_kqueue_poller();
[[nodiscard]] Result<std::unique_ptr<Poller>> make_select_poller();

}  // namespace reactor
