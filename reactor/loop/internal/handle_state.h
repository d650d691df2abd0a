// SPDX-License-Identifier: MIT
// Each handle has a state object behind it. These objects never move. The handle owns its state,
// and the loop has it in a list. Private to the loop.
#pragma once

#include <sys/types.h>

#include "reactor/base/callback.h"
#include "reactor/base/intrusive_list.h"
#include "reactor/base/unique_fd.h"
#include "reactor/loop/handle.h"
#include "reactor/loop/poll_target.h"
#include "reactor/loop/timer_queue.h"
#include "reactor/poller/internal/file_identity.h"

namespace reactor {

class Core;

// HandleState is the common base of the five kinds of state. It is linked into the loop's list of
// live handles.
struct HandleState {
  HandleState(Core& owner, SourceLocation made_at);
  HandleState(const HandleState&) = delete;
  HandleState& operator=(const HandleState&) = delete;
  virtual ~HandleState() = default;

  // Ends the registration, if there is one: the callback does not run again, unless a timer or
  // deferred call is started again. May be called repeatedly.
  virtual void stop() noexcept = 0;
  // Returns whether something is registered. An active state keeps run() going unless it is
  // unref'ed.
  [[nodiscard]] virtual bool active() const noexcept = 0;
  [[nodiscard]] virtual const Dispatchable& dispatchable() const noexcept = 0;
  // Called after `keeps` changed, for states that the registry counts.
  virtual void keeping_changed() noexcept {}
  // Destroys the callable. The callable may own the handle, and so may destroy this state.
  virtual void drop_callback() noexcept = 0;

  Core* core;            // null once the loop has ended
  bool keeps = true;     // whether it keeps run() going while it is active
  bool repeats = false;  // for timers; here because start() then touches one cache line less
  std::uint32_t line;    // the place where it was made, together with `file`
  HandleState* newer = nullptr;  // neighbours in the loop's list of handles
  HandleState* older = nullptr;
  TimePoint created;
  const char* file;

 protected:
  [[nodiscard]] HandleInfo info(std::string_view kind, int number) const noexcept {
    return {kind, number, created, SourceLocation(file, line)};
  }
};

struct IoState final : PollTarget, HandleState {
  IoState(Core& owner, int fd, Callback<void(Ready)> call, SourceLocation made_at)
      : PollTarget(fd),
        HandleState(owner, made_at),
        file(FileIdentity::of(fd)),
        callback(std::move(call)) {}

  void on_ready(Ready ready) override;
  [[nodiscard]] bool holds_file() const noexcept override { return file.is_still(fd()); }
  [[nodiscard]] HandleInfo describe() const noexcept override { return info("io", fd()); }
  void stop() noexcept override;
  [[nodiscard]] bool active() const noexcept override;
  [[nodiscard]] const Dispatchable& dispatchable() const noexcept override { return *this; }
  void keeping_changed() noexcept override;
  void drop_callback() noexcept override { const auto dropped = std::move(callback); }

  FileIdentity file;  // the application owns the descriptor and may close it (G8)
  Callback<void(Ready)> callback;
};

// In TimerState this base comes before HandleState, so that start() and stop() touch 64 contiguous
// bytes.
struct OrderedTimerNode : TimerNode {
  [[nodiscard]] Order order() const noexcept final { return started; }

  Order started = kStopped;
};

struct TimerState final : OrderedTimerNode, HandleState {
  TimerState(Core& owner, Callback<void()> call, SourceLocation made_at)
      : HandleState(owner, made_at), callback(std::move(call)) {}
  TimerState(const TimerState&) = delete;
  TimerState& operator=(const TimerState&) = delete;
  ~TimerState() override;  // because stop() may have left the node in the wheel

  void start(Duration delay) noexcept;
  void start_every(Duration every) noexcept;
  void on_expire() override;
  [[nodiscard]] HandleInfo describe() const noexcept override { return info("timer", -1); }
  void stop() noexcept override;
  [[nodiscard]] bool active() const noexcept override { return started != kStopped; }
  [[nodiscard]] const Dispatchable& dispatchable() const noexcept override { return *this; }
  void drop_callback() noexcept override { const auto dropped = std::move(callback); }

  Callback<void()> callback;
  Duration period{0};

 private:
  void start_at(TimePoint deadline) noexcept;
};

struct SignalState final : Dispatchable, HandleState {
  SignalState(Core& owner, int signal_number, Callback<void()> call, SourceLocation made_at)
      : HandleState(owner, made_at), number(signal_number), callback(std::move(call)) {}

  [[nodiscard]] HandleInfo describe() const noexcept override { return info("signal", number); }
  void stop() noexcept override;
  [[nodiscard]] bool active() const noexcept override { return watching; }
  [[nodiscard]] const Dispatchable& dispatchable() const noexcept override { return *this; }
  void drop_callback() noexcept override { const auto dropped = std::move(callback); }

  int number;
  bool watching = false;
  bool due = false;  // the signal arrived, but its call is still to be made
  Callback<void()> callback;
};

// If the child is watched through a pidfd, that is the target's descriptor.
struct ChildState final : PollTarget, HandleState {
  ChildState(Core& owner, pid_t child, Callback<void(ExitStatus)> call, SourceLocation made_at)
      : HandleState(owner, made_at), pid(child), callback(std::move(call)) {}

  using PollTarget::set_fd;
  void on_ready(Ready ready) override;
  [[nodiscard]] HandleInfo describe() const noexcept override {
    return info("child", static_cast<int>(pid));
  }
  void stop() noexcept override;
  [[nodiscard]] bool active() const noexcept override { return watching; }
  [[nodiscard]] const Dispatchable& dispatchable() const noexcept override { return *this; }
  void drop_callback() noexcept override { const auto dropped = std::move(callback); }

  pid_t pid;
  bool watching = false;
  bool due = false;         // the child may have ended and has to be checked
  std::error_code failure;  // if set, reported instead of the status
  UniqueFd pidfd;
  Callback<void(ExitStatus)> callback;
};

struct DeferredState final : Dispatchable, HandleState, ListLink {
  DeferredState(Core& owner, Callback<void()> call, SourceLocation made_at)
      : HandleState(owner, made_at), callback(std::move(call)) {}

  void schedule() noexcept;
  [[nodiscard]] HandleInfo describe() const noexcept override { return info("deferred", -1); }
  void stop() noexcept override;
  [[nodiscard]] bool active() const noexcept override { return linked(); }
  [[nodiscard]] const Dispatchable& dispatchable() const noexcept override { return *this; }
  void drop_callback() noexcept override { const auto dropped = std::move(callback); }

  Callback<void()> callback;
};

}  // namespace reactor
