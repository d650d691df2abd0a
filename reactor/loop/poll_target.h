// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "reactor/loop/timer_queue.h"
#include "reactor/poller/readiness.h"

namespace reactor {

// PollTarget is a descriptor's registration with a loop, for writers of transports such as Stream
// and Listener. The loop calls the object itself, so there is no callback to store and nothing to
// allocate. A target is also a timer node, and Loop::call_soon() can call it. 40 bytes. The owner
// must detach and disarm it before destroying it. See Loop::attach(), arm() and call_soon().
class PollTarget : public TimerNode {
 public:
  PollTarget(const PollTarget&) = delete;
  PollTarget& operator=(const PollTarget&) = delete;

  // Called while the descriptor is ready for something that was asked for. May destroy this object.
  virtual void on_ready(Ready ready) = 0;
  // Called once after Loop::call_soon(). May destroy this object.
  virtual void on_call() {}
  // Called when the deadline of Loop::arm() has passed. May destroy this object.
  void on_expire() override {}
  // Called if the loop is destroyed while this is attached. The whole loop still works but accepts
  // nothing new. The call may destroy this object. After the call, destroying it is all that is
  // allowed.
  virtual void on_loop_end() noexcept {}

  // Returns the descriptor that is, or will be, watched, or -1 if there is none. Not owned.
  [[nodiscard]] int fd() const noexcept { return fd_; }
  // Returns whether fd() still is the file that was attached, and not a later file of the same
  // number. The default does not check, because the owner of a descriptor detaches before it
  // closes.
  [[nodiscard]] virtual bool holds_file() const noexcept { return true; }
  [[nodiscard]] bool attached() const noexcept { return index_ != kDetached; }

 protected:
  explicit PollTarget(int fd = -1) noexcept : fd_(fd) {}
  ~PollTarget() = default;

  // Allowed only while detached.
  void set_fd(int fd) noexcept { fd_ = fd; }

 private:
  friend class Registry;
  static constexpr std::uint32_t kDetached = ~std::uint32_t{0};

  std::uint32_t index_ = kDetached;  // of its entry in the loop's registry
  int fd_;
};

// Sharing says whether other processes poll the same descriptor. With `shared`, the loop asks the
// kernel to wake only one of them for an event (EPOLLEXCLUSIVE, on systems that have it). A process
// that is woken must take everything that has arrived, because the kernel wakes no other process
// for it.
enum class Sharing : std::uint8_t { alone, shared };

// Detach is the fate of a descriptor after detach(). `closing`: the caller closes it immediately
// afterwards, and there is no other copy. The kernel then forgets it by itself, which saves a
// system call. `staying`: the descriptor or a copy of it stays open.
enum class Detach : std::uint8_t { closing, staying };

}  // namespace reactor
