// SPDX-License-Identifier: MIT
// The end of a spawned task:
//
//   the task's last step --> Root::on_task_done() --> bury(): into ended_
//     --> the undertaker --> clear_away(): Root::failure(), and on_end(), which destroys the task
//
// If failure() returns an exception, report() keeps the exception until drain() throws it from the
// loop's callback. drain() also resumes the coroutines that Waiter::wake() has put into ready_.
#include "reactor/coro/coro_context.h"

#include <new>
#include <utility>

#include "reactor/base/internal/check.h"
#include "reactor/base/log.h"
#include "reactor/coro/spawn.h"

namespace reactor::coro {
namespace {

// The number of exceptions that can be kept without allocating. A task may have failed because
// memory is short, so keeping its exception should not need more memory.
constexpr std::size_t kLikelyFailures = 4;

void end_all(IntrusiveList& residents) noexcept {
  while (ListLink* link = residents.first()) {
    link->unlink();
    static_cast<Resident&>(*link).on_context_end();
  }
}

}  // namespace

void require(bool met, const char* what) noexcept {
  if (!met) check_failed(what, __FILE__, __LINE__);
}

Context& Context::of(Loop& loop) {
  if (LoopExtension* made = loop.extension(Layer::coro)) return static_cast<Context&>(*made);
  auto context = std::make_unique<Context>(loop);
  Context& result = *context;
  loop.set_extension(Layer::coro, std::move(context));
  return result;
}

struct Context::Undertaker::promise_type {
  Undertaker get_return_object() noexcept {
    return Undertaker(std::coroutine_handle<promise_type>::from_promise(*this));
  }
  [[nodiscard]] std::suspend_always initial_suspend() const noexcept { return {}; }
  [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }
  void return_void() const noexcept {}
  void unhandled_exception() const noexcept {}  // never called: clear_away() is noexcept
};

Context::Undertaker Context::undertake() {
  for (;;) {
    clear_away();
    co_await std::suspend_always{};
  }
}

Context::Context(Loop& owner)
    : loop(owner),
      tasks(std::make_unique<TaskGroup>(*this)),
      undertaker_(undertake()),
      drain_(owner.deferred([this] { drain(); })) {
  failures_.reserve(kLikelyFailures);
}

Context::~Context() { on_loop_end(); }

void Context::on_loop_end() noexcept {
  open = false;
  end_all(groups);
  end_all(streams);
}

// Returns the coroutine to run next, usually the undertaker. If clear_away() is running, this task
// ended in a destructor that clear_away() called. clear_away() will then take this task, too, so no
// coroutine has to run.
std::coroutine_handle<> Context::bury(Root& root) noexcept {
  ended_.append(root.ended_);
  return clearing_ ? std::noop_coroutine() : undertaker_.coroutine();
}

void Context::clear_away() noexcept {
  clearing_ = true;
  while (ListLink* link = ended_.first()) {
    link->unlink();
    Root& root = *static_cast<Root::Ended&>(*link).root;
    if (std::exception_ptr failure = root.failure()) report(std::move(failure));
    root.on_end();
  }
  clearing_ = false;
}

void Context::report(std::exception_ptr failure) noexcept {
  try {
    failures_.push_back(std::move(failure));
    drain_.schedule();
  } catch (const std::bad_alloc&) {
    REACTOR_LOG(error, "no memory to keep the exception that ended a coroutine");
  }
}

void Context::drain() {
  struct Rest {
    Context& context;
    ~Rest() {
      if (!context.ready_.empty() || !context.failures_.empty()) context.drain_.schedule();
    }
  };
  const Rest rest{*this};
  if (!failures_.empty()) {
    const std::exception_ptr first = std::move(failures_.front());
    failures_.erase(failures_.begin());
    std::rethrow_exception(first);
  }
  for (int turn = 0; turn < kBudget; ++turn) {
    ListLink* const link = ready_.first();
    if (link == nullptr) break;
    link->unlink();
    static_cast<Waiter&>(*link).resume();
  }
}

}  // namespace reactor::coro
