// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "reactor/loop/dispatchable.h"
#include "reactor/poller/event.h"

namespace reactor {

// A descriptor's place in a loop, for those who write transports: a Stream, a Listener. The object
// itself is what the loop calls, so there is no callback to store and nothing to allocate. 16
// bytes. The owner detaches it before it dies; Loop::attach() and its neighbours say the rest.
class PollTarget : public Dispatchable {
 public:
  PollTarget(const PollTarget&) = delete;
  PollTarget& operator=(const PollTarget&) = delete;

  // The descriptor is ready for what was asked of it. May destroy this object.
  virtual void on_ready(Ready ready) = 0;
  // The loop ends while this is attached. All of the loop still works, but takes nothing new; after
  // the call only destruction may follow. May destroy this object.
  virtual void on_loop_end() noexcept {}

  // The descriptor that is, or will be, watched; -1 where there is none. Not owned here.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  // Whether fd() is still the file that was attached, and not a later one of the same number. The
  // owner of a descriptor closes it after it has detached, so the default does not look.
  [[nodiscard]] virtual bool holds_file() const noexcept { return true; }
  [[nodiscard]] bool attached() const noexcept { return index_ != kDetached; }

 protected:
  explicit PollTarget(int fd = -1) noexcept : fd_(fd) {}
  ~PollTarget() = default;

  // Only while detached.
  void set_fd(int fd) noexcept { fd_ = fd; }

 private:
  friend class Registry;
  static constexpr std::uint32_t kDetached = ~std::uint32_t{0};

  std::uint32_t index_ = kDetached;  // of the slot in the loop's registry
  int fd_;
};

// Who polls a descriptor. `shared`: other processes too, of which an event shall wake one where the
// kernel can do that (EPOLLEXCLUSIVE); whoever is woken has to take what there is, or others wait.
enum class Sharing : std::uint8_t { alone, shared };

// What happens to a descriptor after detach(). `closing`: its only copy is closed right away, so
// the kernel forgets it by itself and a system call is saved. `staying`: it lives on somewhere.
enum class Detach : std::uint8_t { closing, staying };

}  // namespace reactor
