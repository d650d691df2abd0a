// SPDX-License-Identifier: MIT
#include "reactor/loop/internal/registry.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "reactor/base/error.h"
#include "reactor/base/internal/check.h"
#include "reactor/base/internal/fork_count.h"

namespace reactor {
namespace {

constexpr std::size_t kLeastBatch = 512;
constexpr std::size_t kLargestBatch = 4096;

bool forgotten(std::error_code error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::bad_file_descriptor;
}

}  // namespace

Registry::Registry(std::unique_ptr<Poller> poller)
    : poller_(std::move(poller)),
      events_(kLeastBatch),
      position_(events_.data()),
      end_(events_.data()),
      forks_(fork_count()),
      knows_files_(poller_->knows_files()),
      owner_(process_generation()) {}

Registry::~Registry() {
  for (Slot& slot : slots_) {
    if (slot.target != nullptr) slot.target->index_ = PollTarget::kDetached;
  }
}

Token Registry::token_of(const PollTarget& target) const noexcept {
  return {target.index_, slots_[target.index_].generation};
}

std::uint32_t Registry::take_slot() {
  if (free_count_ == 0) add_slot();
  return free_[--free_count_];
}

void Registry::add_slot() {
  const std::size_t count = slots_.size() + 1;
  const std::size_t room = std::clamp(count, kLeastBatch, kLargestBatch);
  // Don't grow the array while a batch is being read; a later attach() does.
  if (room > events_.size() && !batch_left()) {
    events_.resize(std::min(2 * room, kLargestBatch));
    position_ = end_ = events_.data();
  }
  free_.resize(count);  // so that detach() need not allocate
  slots_.emplace_back();
  free_[free_count_++] = static_cast<std::uint32_t>(count - 1);
}

// Fails if another registration has this number, unless the file of that registration was closed
// meanwhile: then marks it as dead.
std::error_code Registry::claim_number(int fd) {
  const auto number = static_cast<std::size_t>(fd);
  if (number >= by_number_.size()) by_number_.resize(number + 1, kNobody);
  const std::uint32_t holder = by_number_[number];
  if (holder == kNobody) return {};
  Slot& slot = slots_[holder];
  const bool held =
      any(slot.polled)
          ? !forgotten(poller_->modify(fd, slot.polled, slot.polled, token_of(*slot.target)))
          : slot.target->holds_file();
  if (held) return std::make_error_code(std::errc::file_exists);
  mark_dead(slot);
  return {};
}

void Registry::mark_dead(Slot& slot) noexcept {
  // select and libkqueue do not forget a closed descriptor by themselves.
  if (any(slot.polled) && owns_set() && !knows_files_) {
    static_cast<void>(poller_->remove(slot.target->fd_, slot.polled));
  }
  slot.flags |= kDead;
  slot.polled = Interest::none;
  // Later events of this registration are stale: a copy of the descriptor may keep it in the set.
  ++slot.generation;
  slot.retired_in = batch_;
  if ((slot.flags & kBackground) == 0) {
    slot.flags |= kBackground;
    --keeping_;
  }
  const auto number = static_cast<std::size_t>(slot.target->fd_);
  if (by_number_[number] == slot.target->index_) by_number_[number] = kNobody;
}

bool Registry::disown(PollTarget& target) noexcept {
  mark_dead(slots_[target.index_]);
  return false;
}

std::error_code Registry::attach(PollTarget& target, Interest interest, bool background,
                                 Trigger trigger) {
  try {
    return try_to_attach(target, interest, background, trigger);
  } catch (const std::bad_alloc&) {
    detach(target, Detach::staying);
    return std::make_error_code(std::errc::not_enough_memory);
  }
}

std::error_code Registry::try_to_attach(PollTarget& target, Interest interest, bool background,
                                        Trigger trigger) {
  REACTOR_CHECK(!target.attached());
  if (target.fd_ < 0) return system_error(EBADF);
  note_forks();
  if (const std::error_code error = claim_number(target.fd_)) return error;
  const std::uint32_t index = take_slot();
  Slot& slot = slots_[index];
  slot.target = &target;
  slot.wanted = slot.polled = Interest::none;
  slot.flags = static_cast<std::uint8_t>((background ? kBackground : 0) |
                                         (trigger == Trigger::edge ? kEdge : 0) |
                                         (trigger == Trigger::exclusive ? kShared : 0));
  target.index_ = index;
  by_number_[static_cast<std::size_t>(target.fd_)] = index;
  if (!background) ++keeping_;
  slot.wanted = interest;
  const std::error_code error = any(interest) ? poll_for(slot, interest) : std::error_code{};
  if (error) detach(target, Detach::staying);
  return error;
}

// Tells the kernel to watch for `interest`, which is not none.
std::error_code Registry::poll_for(Slot& slot, Interest interest) {
  const int fd = slot.target->fd_;
  const Token token = token_of(*slot.target);
  std::error_code error;
  if (any(slot.polled) && (slot.flags & kShared) != 0) {  // can't be modified: added again below
    drop(slot);
    if ((slot.flags & kDead) != 0) return Errc::handle_dead;
  }
  if (any(slot.polled)) {
    error = poller_->modify(fd, slot.polled, interest, token);
  } else {
    const Trigger trigger = trigger_of(slot);
    error = poller_->add(fd, interest, token, trigger);
    if (error == std::errc::file_exists) {
      // The kernel kept a registration that had ended here, because its open file lived on under
      // another descriptor. Now this number stands for that file again, so it can be removed.
      static_cast<void>(poller_->remove(fd, interest));
      error = poller_->add(fd, interest, token, trigger);
    }
    if (error == std::errc::operation_not_permitted) return Errc::not_pollable;
  }
  if (forgotten(error) && any(slot.polled)) {
    mark_dead(slot);
    return Errc::handle_dead;
  }
  if (!error) slot.polled = interest;
  return error;
}

std::error_code Registry::set_interest(PollTarget& target, Interest interest) {
  if (!target.attached()) return Errc::handle_dead;
  Slot& slot = slots_[target.index_];
  if ((slot.flags & kDead) != 0) return Errc::handle_dead;
  slot.wanted = interest;
  if ((interest & slot.polled) == interest) {  // less interest is dropped lazily
    if (!any(interest) && any(slot.polled) && (slot.flags & kShared) != 0) drop(slot);
    return {};
  }
  if (!any(slot.polled) && !target.holds_file()) {
    mark_dead(slot);
    return Errc::handle_dead;
  }
  return poll_as_wanted(slot);
}

std::error_code Registry::poll_as_wanted(Slot& slot) noexcept {
  std::error_code error;
  try {
    error = poll_for(slot, slot.wanted);
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  if (error && (slot.flags & kDead) == 0) behind_ = true;
  return error;
}

// Returns when to try again.
Duration Registry::catch_up(TimePoint now) noexcept {
  if (now < next_catch_up_) return next_catch_up_ - now;
  next_catch_up_ = now + kCatchUpInterval;
  behind_ = false;
  for (Slot& slot : slots_) {
    if (slot.target == nullptr || (slot.flags & kDead) != 0 || slot.target->fd_ < 0) continue;
    if ((slot.wanted & slot.polled) == slot.wanted) continue;
    const bool closed = !any(slot.polled) && !slot.target->holds_file();
    if (closed || forgotten(poll_as_wanted(slot))) mark_dead(slot);
  }
  return behind_ ? kCatchUpInterval : kForever;
}

// The kernel can't change the way in which it watches, so the descriptor is added anew.
void Registry::share(PollTarget& target) noexcept {
  if (!alive(target)) return;
  Slot& slot = slots_[target.index_];
  if (any(slot.polled)) drop(slot);
  slot.flags |= kShared;
  if (any(slot.wanted) && alive(target)) static_cast<void>(poll_as_wanted(slot));
}

Trigger Registry::trigger_of(const Slot& slot) noexcept {
  if ((slot.flags & kEdge) != 0) return Trigger::edge;
  return (slot.flags & kShared) != 0 ? Trigger::exclusive : Trigger::level;
}

Interest Registry::interest(const PollTarget& target) const noexcept {
  return target.attached() ? slots_[target.index_].wanted : Interest::none;
}

bool Registry::alive(const PollTarget& target) const noexcept {
  return target.attached() && (slots_[target.index_].flags & kDead) == 0;
}

void Registry::set_background(PollTarget& target, bool background) noexcept {
  if (!alive(target)) return;
  Slot& slot = slots_[target.index_];
  if (background == ((slot.flags & kBackground) != 0)) return;
  slot.flags ^= kBackground;
  background ? --keeping_ : ++keeping_;
}

void Registry::detach(PollTarget& target, Detach how) noexcept {
  if (!target.attached()) return;
  if (owns_set()) {
    note_forks();
    const Slot& slot = slots_[target.index_];
    const bool kernel_forgets = how == Detach::closing && (slot.flags & kForked) == 0;
    // A poller that knows descriptors only by number has to be told. For select that costs no
    // system call.
    if (any(slot.polled) && (!kernel_forgets || !knows_files_)) {
      static_cast<void>(poller_->remove(target.fd_, slot.polled));  // an error: gone already
    }
  }
  retire(target);
}

void Registry::retire(PollTarget& target) noexcept {
  Slot& slot = slots_[target.index_];
  const auto number = static_cast<std::size_t>(target.fd_);
  if (target.fd_ >= 0 && by_number_[number] == target.index_) by_number_[number] = kNobody;
  if ((slot.flags & kBackground) == 0) --keeping_;
  ++slot.generation;
  slot.retired_in = batch_;
  slot.target = nullptr;
  slot.wanted = slot.polled = Interest::none;
  free_[free_count_++] = target.index_;
  target.index_ = PollTarget::kDetached;
}

std::error_code Registry::attach_process(PollTarget& target, pid_t pid) {
  const std::uint32_t index = take_slot();
  Slot& slot = slots_[index];
  slot.target = &target;
  slot.wanted = Interest::read;
  slot.polled = Interest::none;
  slot.flags = kBackground;
  target.index_ = index;
  const std::error_code error = poller_->add_process(pid, token_of(target));
  if (error) retire(target);
  return error;
}

void Registry::detach_process(PollTarget& target, pid_t pid) noexcept {
  if (!target.attached()) return;
  if (owns_set()) poller_->remove_process(pid);
  retire(target);
}

bool Registry::owns_set() const noexcept { return owner_ == process_generation(); }

// After a fork, a child may hold copies of everything that was open then. Closing our copy no
// longer removes it from the kernel's set (epoll(7), question 6).
void Registry::note_forks() noexcept {
  if (forks_ == fork_count()) return;
  forks_ = fork_count();
  for (Slot& slot : slots_) {
    if (slot.target != nullptr) slot.flags |= kForked;
  }
}

std::error_code Registry::wait(Duration timeout) {
  ++batch_;
  position_ = end_ = events_.data();
  if (behind_) [[unlikely]]
    timeout = std::min(timeout, catch_up(monotonic_now()));
  const Result<std::size_t> count = poller_->wait(events_, timeout);
  if (!count) return count.error();
  end_ = position_ + *count;
  return {};
}

void Registry::note_stale(const Slot& slot) noexcept {
  ++stale_;
  if (slot.retired_in != batch_) needs_rebuild_ = true;
}

void Registry::drop_unwanted(Slot& slot) {
  if (!any(slot.polled) || slot.polled == slot.wanted) return;
  if (any(slot.wanted)) {
    static_cast<void>(poll_as_wanted(slot));
  } else {
    drop(slot);
  }
}

// Removes the descriptor from the kernel's set, because hang-ups are reported even without
// interest. It is added again when the target wants events (G5).
void Registry::drop(Slot& slot) {
  if (forgotten(poller_->remove(slot.target->fd_, slot.polled))) {
    mark_dead(slot);
    needs_rebuild_ = true;  // the event's registration can't be named any more
  }
  slot.polled = Interest::none;
}

std::uint64_t Registry::take_stale_count() noexcept {
  const std::uint64_t count = stale_;
  stale_ = 0;
  return count;
}

// Marks the targets as dead whose descriptor was closed. Only the old set knows which these are; a
// new set would register any file that has the number now. A forked child can't ask the set, which
// belongs to its parent, so it compares file identities.
void Registry::mark_closed() noexcept {
  for (Slot& slot : slots_) {
    if (slot.target == nullptr || (slot.flags & kDead) != 0 || slot.target->fd_ < 0) continue;
    const bool asks = any(slot.polled) && owns_set();
    const bool closed = !slot.target->holds_file() ||
                        (asks && forgotten(poller_->modify(slot.target->fd_, slot.polled,
                                                           slot.polled, token_of(*slot.target))));
    if (closed) mark_dead(slot);
  }
}

std::error_code Registry::rebuild(std::unique_ptr<Poller> poller) {
  mark_closed();
  poller_ = std::move(poller);
  knows_files_ = poller_->knows_files();
  owner_ = process_generation();
  needs_rebuild_ = false;
  position_ = end_ = events_.data();  // the new set reports unhandled events again: level-triggered
  std::error_code first_error;
  behind_ = false;
  for (Slot& slot : slots_) {
    slot.polled = Interest::none;
    if (slot.target == nullptr || slot.target->fd_ < 0 || !any(slot.wanted)) continue;
    if ((slot.flags & kDead) != 0) continue;
    const std::error_code error = poll_as_wanted(slot);
    if (forgotten(error)) mark_dead(slot);
    if (error && !forgotten(error) && !first_error) first_error = error;
  }
  return first_error;
}

// A target may destroy others meanwhile, but nothing can be attached any more.
void Registry::end_targets() noexcept {
  for (std::size_t index = 0; index < slots_.size(); ++index) {
    if (PollTarget* const target = slots_[index].target) target->on_loop_end();
  }
}

// Descriptors 0, 1 and 2 stay open, because other code uses them too.
void Registry::close_in_child() noexcept {
  for (const Slot& slot : slots_) {
    const bool held =
        slot.target != nullptr && (slot.flags & kDead) == 0 && slot.target->holds_file();
    if (held && slot.target->fd_ > STDERR_FILENO) ::close(slot.target->fd_);
  }
  poller_.reset();
}

}  // namespace reactor
