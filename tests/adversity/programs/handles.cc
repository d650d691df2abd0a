// SPDX-License-Identifier: MIT
// The handles of a loop: timers; watchers of pipes, deferred calls and signals.
#include <unistd.h>
#include <csignal>

#include <algorithm>

#include "reactor/loop/timer_queue.h"
#include "tests/adversity/programs/world.h"
#include "tests/support/pipes.h"

namespace reactor::programs {
namespace {

std::int64_t tick_of(TimePoint time) noexcept {
  const auto ticks = time.time_since_epoch().count() + TimerQueue::kTick.count() - 1;
  return ticks >> TimerQueue::kTickShift;
}

class TimerActor final : public Actor {
 public:
  // What all timers of a world know of each other.
  struct Book {
    std::vector<TimerActor*> timers;
    std::uint64_t starts = 0;
  };

  TimerActor(World& world, std::shared_ptr<Book> book) : Actor(world), book_(std::move(book)) {
    book_->timers.push_back(this);
    renew();
  }

  void apply(const Operation& operation) override {
    const Duration delay = std::chrono::microseconds(operation.amount % 3000);
    if (operation.action == Action::start_timer) start(delay, Duration::zero());
    if (operation.action == Action::start_every) start(delay, std::max(delay, Duration(1)));
    if (operation.action == Action::stop_timer) stop();
    if (operation.action == Action::renew_timer) renew();
    if (operation.action == Action::unref_timer) timer_.unref();
    if (operation.action == Action::ref_timer) timer_.ref();
  }
  [[nodiscard]] bool waits() const override { return active_ && period_ == Duration::zero(); }
  void end() override { stop(); }
  void check() override { require(!timer_.active(), Rule::after_the_end); }

 private:
  void renew() {
    timer_ = loop().timer([this] { on_timer(); });
    active_ = false;
  }
  void start(Duration delay, Duration period) {
    deadline_ = loop().start_time() + delay;
    period_ = period;
    order_ = ++book_->starts;
    started_in_ = world().callbacks > 0 ? world().turns() : 0;
    active_ = true;
    if (period == Duration::zero()) {
      timer_.start(delay);
    } else {
      deadline_ = loop().start_time() + period;
      timer_.start_every(period);
    }
  }
  void stop() {
    timer_.stop();
    active_ = false;
  }

  void on_timer() {
    Callback callback(*this, world());
    require(active_, Rule::after_the_end, "a timer");
    require(loop().now() >= deadline_, Rule::early, "a timer");
    for (const TimerActor* other : book_->timers) require(!was_passed_over(*other), Rule::order);
    if (period_ == Duration::zero()) {
      active_ = false;
    } else {
      deadline_ += period_;
    }
    callback.finish();
  }

  // Whether `other` should have come before this. One that a callback of this turn started may wait
  // for the next one; when a period that was missed comes is not known here.
  [[nodiscard]] bool was_passed_over(const TimerActor& other) const {
    if (&other == this || !other.active_ || other.period_ > Duration::zero()) return false;
    if (period_ > Duration::zero() || other.started_in_ == world().turns()) return false;
    const auto mine = tick_of(deadline_), its = tick_of(other.deadline_);
    return its < mine || (its == mine && other.order_ < order_);
  }

  std::shared_ptr<Book> book_;
  Timer timer_;
  TimePoint deadline_{};
  Duration period_{};
  std::uint64_t order_ = 0, started_in_ = 0;
  bool active_ = false;
};

// A watcher of a pipe, a deferred call, and a signal.
class HandleActor final : public Actor {
 public:
  explicit HandleActor(World& world) : Actor(world) {
    renew_pipe();
    deferred_ = loop().deferred([this] { on_deferred(); });
    signal_ = loop().on_signal(SIGUSR1, [this] { on_signal(); }).value();
    signal_.unref();
  }

  void apply(const Operation& operation) override {
    if (operation.action == Action::schedule) schedule();
    if (operation.action == Action::stop_deferred) stop_deferred();
    if (operation.action == Action::raise) raise();
    if (operation.action == Action::fill_pipe) fill();
    if (operation.action == Action::read_pipe) set(Interest::read);
    if (operation.action == Action::ignore_pipe) set(Interest::none);
    if (operation.action == Action::stop_watcher) stop_watcher();
    if (operation.action == Action::renew_pipe) {
      operation.amount % 2 == 0 ? renew_closed(operation.amount % 4 == 0) : renew_pipe();
    }
  }
  // What was asked for has to come first.
  void end() override {
    watcher_.unref();
    read_all_ = true;
    ended_ = true;
  }
  void check() override {
    require(!scheduled_, Rule::deferred, "it never ran");
    require(!raised_, Rule::interest, "a signal was lost");
    if (interest_ == Interest::read) require(filled_ == read_, Rule::interest, "bytes in a pipe");
  }

 private:
  void schedule() {
    deferred_.schedule();
    scheduled_ = true;
  }
  void stop_deferred() {
    deferred_.stop();
    scheduled_ = false;
  }
  void on_deferred() {
    Callback callback(*this, world());
    require(scheduled_, Rule::deferred, "it ran though it was not scheduled, or was stopped");
    scheduled_ = false;
    callback.finish();
  }
  void raise() {
    raised_ = true;
    ::raise(SIGUSR1);
  }
  // Another actor may have raised it.
  void on_signal() {
    Callback callback(*this, world());
    raised_ = false;
    callback.finish();
  }

  void fill() {
    if (pipe_.far && ::write(pipe_.far.get(), "x", 1) == 1) ++filled_;
  }
  void set(Interest interest) {
    if (watcher_.active() && watcher_.set(interest)) interest_ = interest;
  }
  void stop_watcher() {
    watcher_.stop();
    interest_ = Interest::none;
  }
  // Closed first: another pipe has the number while the old watcher is still there. Of a copy the
  // kernel goes on to report.
  void renew_closed(bool copied) {
    const int number = pipe_.near.get();
    copy_ = UniqueFd(copied ? ::dup(number) : -1);
    fill();
    pipe_ = {};
    old_ = std::move(watcher_);
    old_.unref();
    begin(pipe_at(number));
  }
  void renew_pipe() {
    watcher_ = IoWatcher();
    begin(make_pipe());
  }
  void begin(FdPair pipe) {
    pipe_ = std::move(pipe);
    filled_ = read_ = 0;
    interest_ = Interest::read;
    watcher_ = loop()
                   .watch(pipe_.near.get(), interest_,
                          [this, pipe = ++pipes_](Ready ready) { on_ready(ready, pipe); })
                   .value();
    if (ended_) watcher_.unref();
  }
  void on_ready(Ready ready, int pipe) {
    Callback callback(*this, world());
    require(pipe == pipes_, Rule::after_the_end, "a watcher");
    require(interest_ == Interest::read && ready.readable(), Rule::interest);
    read_ += read_text(pipe_.near.get(), read_all_ ? 65536 : 1).size();
    require(read_ <= filled_, Rule::bytes, "a pipe");
    callback.finish();
  }

  Deferred deferred_;
  SignalWatcher signal_;
  FdPair pipe_;
  IoWatcher watcher_;
  IoWatcher old_;  // its descriptor was closed
  UniqueFd copy_;  // of that
  Interest interest_ = Interest::none;
  std::size_t filled_ = 0, read_ = 0;
  int pipes_ = 0;
  bool scheduled_ = false, raised_ = false, read_all_ = false, ended_ = false;
};

}  // namespace

Actors make_timers(World& world) {
  const auto book = std::make_shared<TimerActor::Book>();
  Actors actors;
  for (int i = 0; i < 4; ++i) actors.push_back(std::make_unique<TimerActor>(world, book));
  return actors;
}

Actors make_handles(World& world) {
  Actors actors;
  for (int i = 0; i < 3; ++i) actors.push_back(std::make_unique<HandleActor>(world));
  return actors;
}

}  // namespace reactor::programs
