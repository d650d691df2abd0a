// SPDX-License-Identifier: MIT
#include "reactor/coro/context.h"

#include <utility>

#include "reactor/coro/spawn.h"

namespace reactor::coro {
namespace {

void end_all(IntrusiveList& residents) noexcept {
  while (ListLink* link = residents.first()) {
    link->unlink();
    static_cast<Resident&>(*link).on_loop_end();
  }
}

}  // namespace

Context& Context::of(Loop& loop) {
  if (LoopExtension* made = loop.extension(Layer::coro)) return static_cast<Context&>(*made);
  auto context = std::make_unique<Context>(loop);
  Context& result = *context;
  loop.set_extension(Layer::coro, std::move(context));
  return result;
}

Context::Context(Loop& owner)
    : loop(owner),
      tasks(std::make_unique<TaskGroup>(*this)),
      drain_(owner.deferred([this] { drain(); })) {}

Context::~Context() {
  end_all(groups);
  end_all(streams);
}

void Context::bury(Root& root) noexcept { ended_.append(root.ended_); }

void Context::drain() {
  struct Rest {
    Context& context;
    ~Rest() {
      if (!context.ready_.empty() || !context.ended_.empty()) context.drain_.schedule();
    }
  };
  const Rest rest{*this};
  for (int turn = 0; turn < kBudget; ++turn) {
    ListLink* const link = ready_.first();
    if (link == nullptr) break;
    link->unlink();
    static_cast<Waiter&>(*link).resume();
  }
  if (!ended_.empty()) settle();
}

void Context::settle() {
  while (ListLink* link = ended_.first()) {
    link->unlink();
    Root& root = *static_cast<Root::Ended&>(*link).root;
    const std::exception_ptr error = root.failure();
    root.on_end();
    if (!error) continue;
    if (!ended_.empty()) drain_.schedule();
    std::rethrow_exception(error);
  }
}

}  // namespace reactor::coro
