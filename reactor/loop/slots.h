// SPDX-License-Identifier: MIT
// What stands behind the five handles: address-stable objects that the handle owns and the loop
// knows. Private to the loop.
#pragma once

#include <sys/types.h>

#include "reactor/base/callback.h"
#include "reactor/base/intrusive_list.h"
#include "reactor/base/unique_fd.h"
#include "reactor/loop/handle.h"
#include "reactor/loop/poll_target.h"
#include "reactor/loop/timer_queue.h"
#include "reactor/poller/file_identity.h"

namespace reactor {

class Core;

// What all five have in common. Linked into the loop's list of live handles.
struct HandleSlot {
  HandleSlot(Core& owner, SourceLocation made_at);
  HandleSlot(const HandleSlot&) = delete;
  HandleSlot& operator=(const HandleSlot&) = delete;
  virtual ~HandleSlot() = default;

  // Ends the registration, if there is one: the callback never runs again. Repeatable.
  virtual void stop() noexcept = 0;
  // Whether something is registered; an active one keeps run() going unless it is unref'ed.
  [[nodiscard]] virtual bool active() const noexcept = 0;
  [[nodiscard]] virtual const Dispatchable& dispatchable() const noexcept = 0;
  // Lifts or restores the keeping of run() after `keeps` changed, for those not counted here.
  virtual void keeping_changed() noexcept {}
  // Destroys the callable, which may own the handle, and so destroy this.
  virtual void drop_callback() noexcept = 0;

  Core* core;                   // null once the loop has ended
  bool keeps = true;            // run() going while it is active
  bool repeats = false;         // a timer: here, as start() then touches one cache line less
  std::uint32_t line;           // where it was made, with `file`
  HandleSlot* newer = nullptr;  // neighbours in the loop's list of handles
  HandleSlot* older = nullptr;
  TimePoint created;
  const char* file;

 protected:
  [[nodiscard]] HandleInfo info(std::string_view kind, int number) const noexcept {
    return {kind, number, created, SourceLocation(file, line)};
  }
};

struct IoSlot final : PollTarget, HandleSlot {
  IoSlot(Core& owner, int fd, Callback<void(Ready)> call, SourceLocation made_at)
      : PollTarget(fd),
        HandleSlot(owner, made_at),
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

  FileIdentity file;  // the descriptor is the application's, which may close it (G8)
  Callback<void(Ready)> callback;
};

// Comes before the HandleSlot, so that what start() and stop() touch is 64 bytes in a row.
struct OrderedTimerNode : TimerNode {
  [[nodiscard]] Order order() const noexcept final { return started; }

  Order started = kStopped;
};

struct TimerSlot final : OrderedTimerNode, HandleSlot {
  TimerSlot(Core& owner, Callback<void()> call, SourceLocation made_at)
      : HandleSlot(owner, made_at), callback(std::move(call)) {}
  TimerSlot(const TimerSlot&) = delete;
  TimerSlot& operator=(const TimerSlot&) = delete;
  ~TimerSlot() override;  // stop() may have left it in the wheel

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

struct SignalSlot final : Dispatchable, HandleSlot {
  SignalSlot(Core& owner, int signal_number, Callback<void()> call, SourceLocation made_at)
      : HandleSlot(owner, made_at), number(signal_number), callback(std::move(call)) {}

  [[nodiscard]] HandleInfo describe() const noexcept override { return info("signal", number); }
  void stop() noexcept override;
  [[nodiscard]] bool active() const noexcept override { return watching; }
  [[nodiscard]] const Dispatchable& dispatchable() const noexcept override { return *this; }
  void drop_callback() noexcept override { const auto dropped = std::move(callback); }

  int number;
  bool watching = false;
  bool due = false;  // its signal came; the call is still to be made
  Callback<void()> callback;
};

// Its target is a pidfd where that is how the child is watched.
struct ChildSlot final : PollTarget, HandleSlot {
  ChildSlot(Core& owner, pid_t child, Callback<void(ExitStatus)> call, SourceLocation made_at)
      : HandleSlot(owner, made_at), pid(child), callback(std::move(call)) {}

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
  bool due = false;         // it ended; to be waited for and reported
  std::error_code failure;  // reported instead of the status, where set
  UniqueFd pidfd;
  Callback<void(ExitStatus)> callback;
};

struct DeferredSlot final : Dispatchable, HandleSlot, ListLink {
  DeferredSlot(Core& owner, Callback<void()> call, SourceLocation made_at)
      : HandleSlot(owner, made_at), callback(std::move(call)) {}

  void schedule() noexcept;
  [[nodiscard]] HandleInfo describe() const noexcept override { return info("deferred", -1); }
  void stop() noexcept override;
  [[nodiscard]] bool active() const noexcept override { return linked(); }
  [[nodiscard]] const Dispatchable& dispatchable() const noexcept override { return *this; }
  void drop_callback() noexcept override { const auto dropped = std::move(callback); }

  Callback<void()> callback;
};

}  // namespace reactor
