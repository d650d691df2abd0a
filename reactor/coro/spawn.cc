// SPDX-License-Identifier: MIT
#include "reactor/coro/spawn.h"

#include <memory>
#include <utility>

#include "reactor/base/internal/check.h"

namespace reactor::coro {

// ---- Root ----

Root::Root(TaskGroup& group) : group_(&group) {
  REACTOR_CHECK(group.context_ != nullptr);
  group.roots_.append(*this);
  ++group.size_;
  ended_.root = this;
}

Root::~Root() {
  unlink();
  ended_.unlink();
  if (handle_ != nullptr) handle_->root_ = nullptr;
  --group_->size_;
}

void Root::run(Task<void> task) {
  Context& context = *group_->context_;
  task_ = std::move(task);
  task_.begin(context, *this).resume();
}

void Root::run_soon(Task<void> task) noexcept {
  task_ = std::move(task);
  start_.suspend(*group_->context_, task_.begin(*group_->context_, *this));
  start_.wake();
}

std::coroutine_handle<> Root::on_task_done(Promise&) noexcept {
  return group_->context_->bury(*this);
}

std::exception_ptr Root::failure() noexcept { return task_.error(); }

void Root::on_end() noexcept {
  const Task<void> last_to_go = take_task();
  TaskGroup* const group = group_;
  delete this;
  group->wake_joiners();
}

// ---- TaskGroup ----

TaskGroup::TaskGroup(Context& context) noexcept : context_(context.if_open()) {
  if (context_ != nullptr) context_->groups.append(*this);
}

void TaskGroup::spawn(Task<void> task) {
  if (context_ != nullptr && context_->open) (new Root(*this))->run_soon(std::move(task));
}

void TaskGroup::cancel() noexcept {
  while (ListLink* link = roots_.first()) delete static_cast<Root*>(link);
  wake_joiners();
}

void TaskGroup::wake_joiners() noexcept {
  if (size_ > 0) return;
  while (ListLink* link = joiners_.first()) static_cast<Waiter*>(link)->wake();
}

// Destroys one task at a time, because a task may own this group.
void TaskGroup::on_context_end() noexcept {
  if (ListLink* link = roots_.first()) {
    context_->groups.append(*this);
    delete static_cast<Root*>(link);
    return;
  }
  wake_joiners();
  context_ = nullptr;
}

// ---- Spawned ----

Spawned::Spawned(Root& root) noexcept { hold(&root); }
Spawned::Spawned(Spawned&& other) noexcept { hold(std::exchange(other.root_, nullptr)); }

Spawned& Spawned::operator=(Spawned&& other) noexcept {
  if (this != &other) {
    cancel();
    hold(std::exchange(other.root_, nullptr));
  }
  return *this;
}

void Spawned::hold(Root* root) noexcept {
  root_ = root;
  if (root != nullptr) root->handle_ = this;
}

void Spawned::detach() noexcept {
  if (root_ != nullptr) std::exchange(root_, nullptr)->handle_ = nullptr;
}

void Spawned::cancel() noexcept { delete std::exchange(root_, nullptr); }

Spawned spawn(Loop& loop, Task<void> task) {
  Context* const context = Context::of(loop).if_open();
  if (context == nullptr) return {};
  Root* const root = new Root(*context->tasks);
  root->run_soon(std::move(task));
  return Spawned(*root);
}

}  // namespace reactor::coro
