// SPDX-License-Identifier: MIT
// What the coroutines of one loop share, and the two ways in which a suspended one goes on:
//
//  * what the loop tells (octets, time, a signal) resumes it at once, from the loop's callback:
//    Waiter::resume();
//  * what another coroutine does (a channel, an event, the end of a task) only wakes it:
//    Waiter::wake() puts it into a queue that the loop empties before it next waits. So coroutines
//    never run inside each other's calls, and any of them may destroy any other.
//
// For those who write awaitables; programs need nothing of this.
#pragma once

#include <concepts>
#include <coroutine>
#include <exception>
#include <memory>
#include <utility>
#include <vector>

#include "reactor/base/intrusive_list.h"
#include "reactor/loop/loop.h"

namespace reactor::coro {

class Context;
class Promise;
class Root;
class TaskGroup;

// A check of base/check.h, whose macro is not for headers that others include.
void require(bool met, const char* what) noexcept;

// Told when a task ends that no coroutine awaits directly.
class Joiner {
 public:
  // Gives what runs next. The task must not be destroyed here.
  [[nodiscard]] virtual std::coroutine_handle<> on_task_done(Promise& promise) noexcept = 0;

 protected:
  Joiner() = default;
  ~Joiner() = default;
};

// What the promises of all tasks have in common.
class Promise {
 public:
  Context* context = nullptr;            // handed down from the task that awaits
  std::coroutine_handle<> continuation;  // who awaits
  Joiner* joiner = nullptr;              // or who is told
  std::exception_ptr error;              // that left the body
};

// A suspended coroutine, as that which will resume it sees it; base of most awaiters, which lie in
// the coroutine's frame: destroying the frame destroys the Waiter, and nobody wakes it any more.
// The link is free for a list of those who wait, until wake() takes it.
class Waiter : public ListLink {
 public:
  Waiter() noexcept = default;
  Waiter(Waiter&&) noexcept {}  // only before it waits
  Waiter& operator=(Waiter&&) = delete;
  ~Waiter() { unlink(); }

  template <std::derived_from<Promise> P>
  void suspend(std::coroutine_handle<P> coroutine) noexcept {
    suspend(*coroutine.promise().context, coroutine);
  }
  void suspend(Context& context, std::coroutine_handle<> coroutine) noexcept {
    coroutine_ = coroutine;
    context_ = &context;
  }
  [[nodiscard]] std::coroutine_handle<> coroutine() const noexcept { return coroutine_; }
  [[nodiscard]] Context& context() const noexcept { return *context_; }

  // Goes on now. From a callback of the loop, as its last act: *this may be gone afterwards.
  void resume();
  // Goes on soon, once.
  void wake() noexcept;

 private:
  std::coroutine_handle<> coroutine_;
  Context* context_;
};

// Something that lives with a loop, and has to hear of its end. Made while the loop ends, it is not
// in the context any more.
class Resident : public ListLink {
 public:
  Resident() noexcept = default;
  Resident(const Resident&) = delete;
  Resident& operator=(const Resident&) = delete;
  // The loop goes: end what needs it. The link is free already.
  virtual void on_context_end() noexcept = 0;

 protected:
  ~Resident() { unlink(); }
};

class Context final : public LoopExtension {
 public:
  // Coroutines that go on before the loop looks for events again (G10).
  static constexpr int kBudget = 256;

  // The loop's one, made at the first call.
  [[nodiscard]] static Context& of(Loop& loop);

  explicit Context(Loop& owner);
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;
  ~Context() override;

  // Ends all tasks, and lets go of what is not owned here.
  void on_loop_end() noexcept override;
  // This, or null from on_loop_end() on: for residents, which are not taken any more.
  [[nodiscard]] Context* if_open() noexcept { return open ? this : nullptr; }

  void schedule(Waiter& waiter) noexcept {
    ready_.append(waiter);
    drain_.schedule();
  }
  // A spawned task is over, and suspended for good. Gives who clears it away, outside its frame.
  [[nodiscard]] std::coroutine_handle<> bury(Root& root) noexcept;

  Loop& loop;
  bool open = true;                  // until on_loop_end(); before the groups, which ask
  IntrusiveList groups;              // residents: the first to hear of the loop's end, as their
  IntrusiveList streams;             // tasks own these
  std::unique_ptr<TaskGroup> tasks;  // of spawn()

 private:
  // A coroutine that calls clear_away() whenever it is resumed: so nobody who resumes another one
  // has to look afterwards whether a task ended in there.
  class Undertaker {
   public:
    struct promise_type;
    explicit Undertaker(std::coroutine_handle<> coroutine) noexcept : coroutine_(coroutine) {}
    Undertaker(Undertaker&& other) noexcept
        : coroutine_(std::exchange(other.coroutine_, nullptr)) {}
    Undertaker& operator=(Undertaker&&) = delete;
    ~Undertaker() {
      if (coroutine_) coroutine_.destroy();
    }
    [[nodiscard]] std::coroutine_handle<> coroutine() const noexcept { return coroutine_; }

   private:
    std::coroutine_handle<> coroutine_;
  };

  [[nodiscard]] Undertaker undertake();
  void clear_away() noexcept;
  void report(std::exception_ptr failure) noexcept;
  void drain();

  IntrusiveList ready_;
  IntrusiveList ended_;
  bool clearing_ = false;
  std::vector<std::exception_ptr> failures_;  // leave the loop's run(), one at a time
  Undertaker undertaker_;
  Deferred drain_;
};

inline void Waiter::resume() { coroutine_.resume(); }

inline void Waiter::wake() noexcept {
  unlink();
  context_->schedule(*this);
}

}  // namespace reactor::coro
