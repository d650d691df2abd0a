// SPDX-License-Identifier: MIT
#include "reactor/loop/loop.h"

#include <new>
#include <system_error>

#include "reactor/base/error.h"
#include "reactor/base/internal/poison.h"
#include "reactor/loop/internal/core.h"
#include "reactor/loop/internal/handle_state.h"

namespace reactor {
namespace {

constexpr std::size_t kScratchSize = 64 * 1024;

std::unique_ptr<Core> make_core(LoopOptions options) {
  const Result<Backend> wish = choose_backend(options.backend);
  if (!wish) throw std::system_error(wish.error(), "reactor::Loop");
  Backend chosen = *wish;
  Result<std::unique_ptr<Poller>> poller = make_poller(*wish, &chosen);
  if (!poller) throw std::system_error(poller.error(), "reactor::Loop");
  auto core = std::make_unique<Core>(std::move(options), chosen, std::move(*poller));
  if (const std::error_code error = core->start()) {
    throw std::system_error(error, "reactor::Loop");
  }
  return core;
}

// Makes a state, which the caller gives to a handle. If the loop is ending, that handle is dead.
template <class State, class... Args>
State* new_state(Core& core, Args&&... args) {
  auto state = std::make_unique<State>(core, std::forward<Args>(args)...);
  if (core.accepts()) {
    core.link(*state);
  } else {
    state->core = nullptr;
  }
  return state.release();
}

// Returns an error if nothing can be registered now.
std::error_code check_open(const Core& core) {
  if (!core.in_own_process()) return Errc::wrong_process;
  return core.accepts() ? std::error_code{} : make_error_code(Errc::handle_dead);
}

}  // namespace

Loop::Loop(LoopOptions options) : core_(make_core(std::move(options))), now_(&core_->now) {}
Loop::~Loop() { core_->end(); }

Result<IoWatcher> Loop::watch(int fd, Interest interest, Callback<void(Ready)> callback,
                              SourceLocation where) {
  if (const std::error_code error = check_open(*core_)) return error;
  IoState* state = nullptr;
  try {
    state = new_state<IoState>(*core_, fd, std::move(callback), where);
  } catch (const std::bad_alloc&) {
    return std::make_error_code(std::errc::not_enough_memory);
  }
  IoWatcher watcher(state);
  const std::error_code error = core_->registry.attach(*state, interest, false, Trigger::level);
  if (error) return error;
  return watcher;
}

Timer Loop::timer(Callback<void()> callback, SourceLocation where) {
  return Timer(new_state<TimerState>(*core_, std::move(callback), where));
}

Timer Loop::after(Duration delay, Callback<void()> callback, SourceLocation where) {
  Timer timer = this->timer(std::move(callback), where);
  timer.start(delay);
  return timer;
}

Timer Loop::every(Duration period, Callback<void()> callback, SourceLocation where) {
  Timer timer = this->timer(std::move(callback), where);
  timer.start_every(period);
  return timer;
}

Result<SignalWatcher> Loop::on_signal(int number, Callback<void()> callback, SourceLocation where) {
  if (const std::error_code error = check_open(*core_)) return error;
  auto* state = new_state<SignalState>(*core_, number, std::move(callback), where);
  SignalWatcher watcher(state);
  if (const std::error_code error = core_->signals.add(*state)) return error;
  core_->keep(*state, true);
  return watcher;
}

Result<ChildWatcher> Loop::on_exit(pid_t pid, Callback<void(ExitStatus)> callback,
                                   SourceLocation where) {
  if (const std::error_code error = check_open(*core_)) return error;
  auto* state = new_state<ChildState>(*core_, pid, std::move(callback), where);
  ChildWatcher watcher(state);
  if (const std::error_code error = core_->children.add(*state)) return error;
  core_->keep(*state, true);
  return watcher;
}

bool Loop::waits_for(pid_t pid) const noexcept { return core_->children.waits_for(pid); }

Deferred Loop::deferred(Callback<void()> callback, SourceLocation where) {
  return Deferred(new_state<DeferredState>(*core_, std::move(callback), where));
}

void Loop::post(Callback<void()> callback) { core_->post(std::move(callback)); }

Result<> Loop::run() { return core_->run_while(true, kForever); }
Result<> Loop::run_once(Duration timeout) { return core_->run_while(false, timeout); }
Result<> Loop::poll() { return core_->run_while(false, Duration::zero()); }
void Loop::stop() noexcept { core_->request_stop(); }
TimePoint Loop::start_time() const noexcept { return core_->start_time(); }
void Loop::update_now() noexcept { core_->now = monotonic_now(); }

Result<int> Loop::backend_fd() const {
  if (!core_->in_own_process()) return Errc::wrong_process;
  const int fd = core_->registry.poller().backend_fd();
  if (fd < 0) return Errc::not_supported;
  return fd;
}

Duration Loop::next_timeout() { return core_->next_timeout(); }
Backend Loop::backend() const noexcept { return core_->backend; }
Result<> Loop::reinit_after_fork() { return core_->reinit_after_fork(); }
void Loop::close_in_child() noexcept { core_->close_in_child(); }
std::size_t Loop::keeping() const noexcept { return core_->keeping + core_->registry.keeping(); }
const LoopStats& Loop::stats() const noexcept { return *core_->stats; }
HandleInfo Loop::current() const noexcept { return core_->slow.current(); }

Result<> Loop::attach(PollTarget& target, Interest interest, bool background, Sharing sharing) {
  if (const std::error_code error = check_open(*core_)) return error;
  const Trigger trigger = sharing == Sharing::shared ? Trigger::exclusive : Trigger::level;
  return core_->registry.attach(target, interest, background, trigger);
}

Result<> Loop::set_interest(PollTarget& target, Interest interest) {
  if (!core_->in_own_process()) return Errc::wrong_process;
  return core_->registry.set_interest(target, interest);
}

void Loop::share(PollTarget& target) noexcept {
  if (!check_open(*core_)) core_->registry.share(target);
}

void Loop::detach(PollTarget& target, Detach how) noexcept {
  core_->slow.forget(target);
  core_->registry.detach(target, how);
}

void Loop::arm(TimerNode& node, TimePoint deadline) noexcept {
  core_->timers.disarm(node);
  core_->timers.arm(node, deadline);
}

void Loop::disarm(TimerNode& node) noexcept { core_->timers.disarm(node); }

void Loop::postpone(TimerNode& node, TimePoint deadline) noexcept {
  core_->timers.postpone(node, deadline);
}

void Loop::call_soon(PollTarget& target) noexcept { core_->calls.add(target); }

std::span<std::byte> Loop::scratch() {
  if (core_->scratch == nullptr) core_->scratch = std::make_unique<std::byte[]>(kScratchSize);
  const std::span<std::byte> scratch(core_->scratch.get(), kScratchSize);
  unpoison(scratch);
  return scratch;
}

void Loop::hold() noexcept { core_->count_keeping(true); }
void Loop::release() noexcept { core_->count_keeping(false); }

LoopExtension* Loop::extension(Layer layer) noexcept {
  return core_->extensions[static_cast<std::size_t>(layer)].get();
}

void Loop::set_extension(Layer layer, std::unique_ptr<LoopExtension> extension) noexcept {
  core_->extensions[static_cast<std::size_t>(layer)] = std::move(extension);
}

bool Loop::in_own_process() const noexcept { return core_->in_own_process(); }

}  // namespace reactor
