// SPDX-License-Identifier: MIT
// The handler, which may run in any thread, passes a signal to the loop that claims its number:
//
//   signal --> reactor_signal_handler(): notes it in g_deliveries, writes a byte to the loop's pipe
//              --> on_ready(): marks the watchers of the noted signals as due
//                  --> dispatch(): calls them, in the turn's signal phase
//
// A loop claims a number by a compare-and-swap, so loops in several threads need no lock. The
// oddities are explained at Delivery: how a pipe is closed although a handler may still run, and
// what the handler does in a forked child.
#include "reactor/loop/internal/signals.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>

#include "reactor/base/error.h"
#include "reactor/base/internal/descriptors.h"
#include "reactor/base/internal/fork_count.h"
#include "reactor/loop/internal/core.h"
#include "reactor/loop/internal/handle_state.h"

namespace reactor {
namespace {

// A Claim says which loop watches a signal: the generation of its process and the loop's number. A
// value of 0 means none.
using Claim = std::uint64_t;

Claim make_claim(std::uint32_t loop) noexcept {
  return std::uint64_t{process_generation()} << 32U | loop;
}
std::uint32_t loop_of(Claim claim) noexcept { return static_cast<std::uint32_t>(claim); }
// Returns whether a loop of this process holds the claim, and not one of a parent process.
bool is_current(Claim claim) noexcept { return claim >> 32U == process_generation(); }

// A Delivery is the state of one signal number, for the whole process: the handler may run in any
// thread, and several threads may have loops.
//
// A pipe may be closed only when no handler can still write to it. For this, the handler increments
// `handlers` before it reads `pipe`, and give_back() clears `pipe` before it reads `handlers`. All
// of these accesses are sequentially consistent. So either the handler finds no pipe, or
// give_back() sees the handler and waits for it.
//
// A forked child inherits the handler. The child can get a signal before any of its own code has
// run, even before its process_generation() has changed. So the handler compares pids (getpid(2) is
// async-signal-safe). In a child it only notes that the signal arrived; reopen() delivers it.
struct Delivery {
  std::atomic<Claim> claim{0};
  std::atomic<pid_t> process{0};  // pid of the claim's holder
  std::atomic<pid_t> came{0};     // the process that got the signal; 0: no signal arrived
  std::atomic<int> pipe{-1};      // write end; -1 if nobody watches
  std::atomic<int> handlers{0};   // how many are running in `process`
  struct sigaction previous {};   // used by the claim's holder only
};

std::array<Delivery, NSIG> g_deliveries;

std::atomic<std::uint32_t> g_loops{0};  // how many loops got a number so far

static_assert(std::atomic<Claim>::is_always_lock_free && std::atomic<int>::is_always_lock_free);

extern "C" void reactor_signal_handler(int number) {
  Delivery& delivery = g_deliveries[static_cast<std::size_t>(number)];
  const int saved_errno = errno;
  const pid_t self = ::getpid();
  delivery.came.store(self);
  // In a pid namespace of its own, a child can have its parent's pid; is_current() is then false.
  if (delivery.process.load() == self && is_current(delivery.claim.load())) {
    delivery.handlers.fetch_add(1);
    const char byte = 0;
    // If the pipe is full, a wake-up is already on its way.
    if (const int pipe = delivery.pipe.load(); pipe >= 0) {
      [[maybe_unused]] const auto written = ::write(pipe, &byte, 1);
    }
    delivery.handlers.fetch_sub(1);
  }
  errno = saved_errno;
}

// Waits until no running handler can still write to the pipe. Returns false if a handler takes
// longer than a second, for example in a thread that a debugger has stopped.
bool wait_for_handlers(const Delivery& delivery) noexcept {
  constexpr int kMostWaits = 1000;
  for (int waits = 0; delivery.handlers.load() != 0; ++waits) {
    if (waits == kMostWaits) return false;
    ::poll(nullptr, 0, 1);
  }
  return true;
}

Delivery& delivery_of(int number) { return g_deliveries[static_cast<std::size_t>(number)]; }

}  // namespace

Signals::Signals(Core& core) : core_(core), number_(++g_loops) {}

Signals::~Signals() {
  for (int number = 1; number < NSIG; ++number) {
    if (loop_of(delivery_of(number).claim.load()) == number_) give_back(number);
  }
  if (settled_) return;
  // The descriptors are left open on purpose: if they were closed, a late handler could write its
  // byte to another file that reuses the number.
  static_cast<void>(read_end_.release());
  static_cast<void>(write_end_.release());
}

std::error_code Signals::open_pipe() {
  if (attached()) return {};
  std::array<int, 2> ends{};
  if (::pipe(ends.data()) != 0) return last_system_error();
  read_end_.reset(ends[0]);
  write_end_.reset(ends[1]);
  for (const int fd : ends) {
    if (!make_private(fd)) return last_system_error();
  }
  set_fd(read_end_.get());
  return core_.registry.attach(*this, Interest::read, true, Trigger::level);
}

// Installs the handler for the holder of the claim. If `inherited`, a loop of a parent process had
// the claim. The signal's present disposition is then our handler, so `previous` is left as it is.
std::error_code Signals::take_over(int number, bool inherited) {
  Delivery& delivery = delivery_of(number);
  if (inherited) delivery.handlers.store(0);  // the parent's threads do not exist in this process
  delivery.pipe.store(write_end_.get());
  delivery.process.store(::getpid());
  struct sigaction action {};
  action.sa_handler = &reactor_signal_handler;
  action.sa_flags = SA_RESTART;
  sigfillset(&action.sa_mask);  // not ::sigfillset, which is a macro on macOS
  struct sigaction previous {};
  if (::sigaction(number, &action, &previous) != 0) return last_system_error();
  if (!inherited) delivery.previous = previous;
  return {};
}

// Ends a claim and restores the disposition from before it. Does nothing in a forked child that did
// not take the loop over: the child's dispositions are its own.
void Signals::give_back(int number) noexcept {
  Delivery& delivery = delivery_of(number);
  if (!is_current(delivery.claim.load())) return;
  ::sigaction(number, &delivery.previous, nullptr);
  delivery.pipe.store(-1);
  if (!wait_for_handlers(delivery)) settled_ = false;
  delivery.claim.store(0);
}

std::error_code Signals::add(SignalState& state) {
  if (state.number < 1 || state.number >= NSIG) return system_error(EINVAL);
  if (const std::error_code error = open_pipe()) return error;
  states_.reserve(states_.size() + 1);
  if (const std::error_code error = claim(state.number)) return error;
  states_.push_back(&state);
  state.watching = true;
  return {};
}

// Claims `number` for this loop. A claim by a loop of a parent process does not count, but the
// disposition from before that claim is the one that give_back() will restore.
std::error_code Signals::claim(int number) {
  Delivery& delivery = delivery_of(number);
  Claim holder = delivery.claim.load();
  const Claim mine = make_claim(number_);
  if (holder == mine) return {};
  const bool inherited = holder != 0 && !is_current(holder);
  if (holder != 0 && !inherited) return Errc::signal_taken;
  if (!delivery.claim.compare_exchange_strong(holder, mine)) return Errc::signal_taken;
  delivery.came.store(0);  // forgets a signal from before this claim
  const std::error_code error = take_over(number, inherited);
  if (error) {
    delivery.pipe.store(-1);
    delivery.claim.store(0);
  }
  return error;
}

void Signals::remove(SignalState& state) noexcept {
  if (!state.watching) return;
  state.watching = false;
  if (state.due) --due_;
  state.due = false;
  std::erase(states_, &state);
  const bool last = std::none_of(states_.begin(), states_.end(), [&](const SignalState* other) {
    return other->number == state.number;
  });
  const bool holds = loop_of(delivery_of(state.number).claim.load()) == number_;
  if (last && holds) give_back(state.number);
}

void Signals::mark_due(int number) noexcept {
  for (SignalState* state : states_) {
    if (state->number != number || state->due) continue;
    state->due = true;
    ++due_;
  }
}

void Signals::on_ready(Ready) {
  std::array<char, 256> sink;
  while (::read(read_end_.get(), sink.data(), sink.size()) == static_cast<ssize_t>(sink.size())) {
  }
  core_.stats->wakeups.add();
  for (int number = 1; number < NSIG; ++number) {
    Delivery& delivery = delivery_of(number);
    if (delivery.claim.load() == make_claim(number_) && delivery.came.exchange(0) != 0) {
      mark_due(number);
    }
  }
}

// A callback may add and remove watchers, so each step searches again from the start.
void Signals::dispatch() {
  while (due_ > 0) {
    const auto state = std::find_if(states_.begin(), states_.end(),
                                    [](const SignalState* candidate) { return candidate->due; });
    (*state)->due = false;
    --due_;
    core_.stats->signals.add();
    core_.slow.enter(**state);
    core_.call(**state, (*state)->callback);
  }
}

// Signals that the parent has not handled yet stay the parent's. Signals that arrived in this
// process since the fork are delivered. None is missed: the handler stores `came` before it checks
// whose pipe there is, and this function changes the claim before it reads `came`.
std::error_code Signals::reopen() {
  if (states_.empty() && !attached()) return {};
  core_.registry.detach(*this, Detach::staying);
  for (SignalState* state : states_) state->due = false;
  due_ = 0;
  if (const std::error_code error = open_pipe()) return error;
  for (int number = 1; number < NSIG; ++number) {
    Delivery& delivery = delivery_of(number);
    if (loop_of(delivery.claim.load()) != number_) continue;
    delivery.claim.store(make_claim(number_));
    if (const std::error_code error = take_over(number, true)) return error;
    pid_t self = ::getpid();
    if (delivery.came.compare_exchange_strong(self, 0)) mark_due(number);
  }
  return {};
}

HandleInfo Signals::describe() const noexcept { return {"signal pipe", fd(), {}, {}}; }

void reset_signals() noexcept {
  struct sigaction action {};
  action.sa_handler = SIG_DFL;
  // The call fails for SIGKILL, SIGSTOP and the signals that the C library reserves for itself.
  for (int number = 1; number < NSIG; ++number) ::sigaction(number, &action, nullptr);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace reactor
