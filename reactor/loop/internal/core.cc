// SPDX-License-Identifier: MIT
// One turn of the loop:
//
//     +--> deferred --> timeout ---> wait --> now() --> I/O --> signals, children --+
//     |                                                                             |
//     +------------------- posted <--------------- due timers <---------------------+
//
// Each phase handles the work that was there when the phase began. Work that callbacks add to a
// phase that has begun waits for the next turn (G3, G10). If a callback throws, its phase keeps the
// unhandled work for the next turn (G6).
#include "reactor/loop/internal/core.h"

#include <algorithm>
#include <string>

#include "reactor/base/error.h"
#include "reactor/base/internal/check.h"
#include "reactor/base/internal/fork_count.h"
#include "reactor/base/log.h"
#include "reactor/loop/internal/handle_state.h"

namespace reactor {
namespace {

// PostedCall stands for posted calls, which have no handle.
class PostedCall final : public Dispatchable {
 public:
  [[nodiscard]] HandleInfo describe() const noexcept override {
    return {"posted call", -1, {}, {}};
  }
};

const PostedCall kPostedCall;

// exit(3) destroys the calling thread's thread-local objects before static objects
// ([basic.start.term]). So this flag tells a static Loop in its destructor that one of its
// callbacks called exit() and will never return.
thread_local bool thread_ends = false;

void watch_end_of_thread() noexcept {
  struct Watch {
    ~Watch() { thread_ends = true; }
  };
  thread_local const Watch watch;
  static_cast<void>(watch);
}

}  // namespace

Core::Core(LoopOptions loop_options, Backend chosen, std::unique_ptr<Poller> poller)
    : options(std::move(loop_options)),
      backend(chosen),
      stats(options.stats != nullptr ? options.stats : &own_stats),
      now(monotonic_now()),
      registry(std::move(poller)),
      timers(now),
      wakeup(stats->wakeups),
      signals(*this),
      children(*this, options.child_method),
      slow(options, *stats),
      calls(timers, slow),
      generation_(process_generation()) {}

Core::~Core() {
  for (std::size_t layer = extensions.size(); layer-- > 0;) extensions[layer].reset();
  registry.detach(signals, Detach::staying);
  registry.detach(wakeup, Detach::staying);
}

// First destroys the closures, which may own any object that uses the loop. Then the attached
// targets get on_loop_end(). Coroutines, which own most targets, are destroyed last. The loop
// accepts nothing new meanwhile, so no step can go on forever.
void Core::end() noexcept {
  if (in_turn_ && !thread_ends) {
    check_failed(
        "a Loop was destroyed inside one of its own callbacks; call stop() there, and destroy it "
        "after run() has returned",
        __FILE__, __LINE__);
  }
  ending_ = true;
  posts.clear();
  while (newest != nullptr) end(*newest);
  { const auto dropped = std::move(options.on_slow); }
  registry.end_targets();
  for (std::size_t layer = extensions.size(); layer-- > 0;) {
    if (extensions[layer] != nullptr) extensions[layer]->on_loop_end();
  }
}

void Core::end(HandleState& state) noexcept {
  const HandleInfo info = state.dispatchable().describe();
  REACTOR_LOG(debug, "loop is gone before its " + std::string(info.kind) + " made at " +
                         info.where.file_name() + ":" + std::to_string(info.where.line()));
  state.stop();
  unlink(state);
  state.core = nullptr;
  state.drop_callback();
}

std::error_code Core::start() {
  if (const std::error_code error = wakeup.open()) return error;
  const bool edge = registry.poller().edge_triggered();
  wakeup.set_edge_triggered(edge);
  return registry.attach(wakeup, Interest::read, true, edge ? Trigger::edge : Trigger::level);
}

bool Core::in_own_process() const noexcept { return generation_ == process_generation(); }

Result<> Core::run_while(bool forever, Duration limit) {
  if (!in_own_process()) return Errc::wrong_process;
  if (in_turn_ || ending_) return Errc::nested_run;
  watch_end_of_thread();
  struct Scope {
    Core& core;
    explicit Scope(Core& owner) : core(owner) {
      core.in_turn_ = true;
      core.posts.wake_up();
      core.now = monotonic_now();
      core.slow.begin_batch(core.now);
    }
    ~Scope() {
      core.in_turn_ = false;
      core.slow.leave();
      core.stop_requested_.store(false);
      // From here on post() wakes the loop. If a call was posted before, wake the outer loop in
      // which this one is nested (Loop::backend_fd()).
      if (core.posts.fall_asleep()) core.wakeup.wake();
    }
  };
  const Scope scope(*this);
  do {
    if (stop_requested_.load() || (forever && !anything_to_wait_for())) break;
    if (Result<> result = turn(forever, limit); !result) return result;
  } while (forever);
  slow.end_batch(monotonic_now());
  return {};
}

Result<> Core::turn(bool forever, Duration limit) {
  const bool ran = run_deferred();
  // run() must not wait if the deferred calls were its last work. run_once() must not wait at all
  // after a deferred call.
  if (forever ? !anything_to_wait_for() : ran) limit = Duration::zero();
  // If an exception interrupted the last batch, its remaining events are handled first.
  if (!registry.batch_left()) {
    if (const std::error_code error = wait(limit)) return error;
  }
  dispatch_io();
  if (signals.pending()) signals.dispatch();
  if (children.pending()) children.dispatch();
  run_timers();
  run_posted();
  return {};
}

bool Core::work_is_waiting() const noexcept {
  return !scheduled.empty() || !deferred_round_.empty() || !posts.empty() ||
         registry.batch_left() || signals.pending() || children.pending();
}

bool Core::anything_to_wait_for() noexcept {
  return keeping > 0 || registry.keeping() > 0 || work_is_waiting() || !calls.empty();
}

Duration Core::next_timeout() noexcept {
  if (work_is_waiting()) return Duration::zero();
  const TimePoint deadline = timers.next_deadline();
  if (deadline == TimePoint::max()) return kForever;
  const TimePoint at = monotonic_now();
  return deadline <= at ? Duration::zero() : deadline - at;
}

std::error_code Core::wait(Duration limit) {
  const TimePoint before = monotonic_now();
  slow.end_batch(before);
  Duration timeout = std::max(limit, Duration::zero());
  const TimePoint deadline = timers.next_deadline();
  if (deadline <= before || work_is_waiting()) {
    timeout = Duration::zero();
  } else if (deadline != TimePoint::max()) {
    timeout = std::min(timeout, deadline - before);
  }
  // The order matters: mark the loop as asleep, then look for calls posted meanwhile. See
  // PostQueue::fall_asleep().
  if (timeout > Duration::zero() && (posts.fall_asleep() || stop_requested_.load())) {
    timeout = Duration::zero();
  }
  const std::error_code error = registry.wait(timeout);
  posts.wake_up();
  now = timeout == Duration::zero() ? before : monotonic_now();
  slow.begin_batch(now);
  stats->turns.add();
  stats->events.add(registry.batch_size());
  return error;
}

bool Core::run_deferred() {
  deferred_round_.splice(scheduled);
  if (deferred_round_.empty()) return false;
  while (ListLink* link = deferred_round_.first()) {
    auto& state = static_cast<DeferredState&>(*link);
    state.unlink();
    slow.enter(state);
    call(state, state.callback);
  }
  return true;
}

template <class Enter>
void Core::dispatch_batch(Enter enter) {
  Ready ready;
  while (PollTarget* target = registry.next_event(ready)) {
    enter(*target);
    target->on_ready(ready);
  }
}

void Core::dispatch_io() {
  slow.count_calls(registry.batch_size());
  if (slow.measures()) [[unlikely]] {
    dispatch_batch([this](const PollTarget& target) { slow.enter_measured(target); });
  } else {
    dispatch_batch([this](const PollTarget& target) { slow.enter_plainly(target); });
  }
  if (const std::uint64_t stale = registry.take_stale_count(); stale > 0) stats->stale.add(stale);
  if (!registry.needs_rebuild()) return;
  Result<std::unique_ptr<Poller>> poller = make_poller(backend);
  if (!poller) return;  // no descriptor is free; tried again when the stale event comes again
  stats->rebuilds.add();
  if (const std::error_code error = registry.rebuild(std::move(*poller))) {
    REACTOR_LOG(error, "watchers wait for the kernel: " + error.message() + "; trying again");
  }
  children.rewatch();
}

void Core::run_timers() {
  timers.expire(now);
  while (TimerNode* node = timers.next_expired()) {
    slow.enter_copied(*node);
    stats->timers.add();
    node->on_expire();
  }
}

void Core::run_posted() {
  if (posts.empty()) return;
  posts.collect();
  Callback<void()> posted;
  while (posts.take(posted)) {
    slow.enter(kPostedCall);
    stats->posted.add();
    posted();
    posted.reset();
  }
}

void Core::request_stop() noexcept {
  stop_requested_.store(true);
  if (posts.claim_wakeup()) wakeup.wake();
}

void Core::post(Callback<void()> call) {
  if (!accepts()) return;
  if (posts.push(std::move(call))) wakeup.wake();
}

std::error_code Core::reinit_after_fork() {
  if (in_turn_ || ending_) return Errc::nested_run;
  Result<std::unique_ptr<Poller>> poller = make_poller(backend);
  if (!poller) return poller.error();
  registry.detach(wakeup, Detach::staying);
  registry.detach(signals, Detach::staying);
  const std::error_code lost = registry.rebuild(std::move(*poller));
  posts.clear();
  stop_requested_.store(false);
  if (const std::error_code error = start()) return error;
  if (const std::error_code error = signals.reopen()) return error;
  children.fail_all(Errc::wrong_process);
  generation_ = process_generation();
  return lost;
}

void Core::close_in_child() noexcept {
  registry.detach(wakeup, Detach::staying);
  registry.detach(signals, Detach::staying);
  wakeup.close();
  signals.close();
  registry.close_in_child();
}

void Core::link(HandleState& state) noexcept {
  state.older = newest;
  if (newest != nullptr) newest->newer = &state;
  newest = &state;
}

void Core::unlink(HandleState& state) noexcept {
  (state.newer != nullptr ? state.newer->older : newest) = state.older;
  if (state.older != nullptr) state.older->newer = state.newer;
}

void Core::keep(const HandleState& state, bool keeps) noexcept {
  if (state.keeps) count_keeping(keeps);
}

void Core::release(HandleState& state) noexcept {
  state.stop();
  slow.forget(state.dispatchable());
  unlink(state);
  if (&state == running_) {
    running_is_dead_ = true;
  } else {
    delete &state;
  }
}

void Core::bury(HandleState& state) noexcept {
  running_is_dead_ = false;
  delete &state;
}

}  // namespace reactor
