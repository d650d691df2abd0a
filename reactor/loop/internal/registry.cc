// SPDX-License-Identifier: MIT
// The header has the states of an entry. The kernel's oddities, and where they are dealt with:
//
//   hang-ups come without interest      drop(): an entry without interest leaves the kernel's set
//   a number was closed and reused      claim_number(), disown(): the old target becomes dead
//   a copy keeps a closed file open     note_stale(), rebuild(): a new set from the live entries
//   a fork copies every descriptor      note_forks(): later closes need a remove() first
//   the kernel has no memory            poll_as_wanted(), catch_up(): asked again every 100 ms
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
  for (Entry& entry : entries_) {
    if (entry.target != nullptr) entry.target->index_ = PollTarget::kDetached;
  }
}

Token Registry::token_of(const PollTarget& target) const noexcept {
  return {target.index_, entries_[target.index_].generation};
}

std::uint32_t Registry::take_entry() {
  if (free_count_ == 0) add_entry();
  return free_[--free_count_];
}

void Registry::add_entry() {
  const std::size_t count = entries_.size() + 1;
  const std::size_t room = std::clamp(count, kLeastBatch, kLargestBatch);
  // Don't grow the array while a batch is being read; a later attach() does.
  if (room > events_.size() && !batch_left()) {
    events_.resize(std::min(2 * room, kLargestBatch));
    position_ = end_ = events_.data();
  }
  free_.resize(count);  // so that detach() need not allocate
  entries_.emplace_back();
  free_[free_count_++] = static_cast<std::uint32_t>(count - 1);
}

// Fails if another registration has this number, unless the file of that registration was closed
// meanwhile. In that case, marks the registration as dead and succeeds.
std::error_code Registry::claim_number(int fd) {
  const auto number = static_cast<std::size_t>(fd);
  if (number >= by_number_.size()) by_number_.resize(number + 1, kNobody);
  const std::uint32_t holder = by_number_[number];
  if (holder == kNobody) return {};
  Entry& entry = entries_[holder];
  const bool held =
      any(entry.polled)
          ? !forgotten(poller_->modify(fd, entry.polled, entry.polled, token_of(*entry.target)))
          : entry.target->holds_file();
  if (held) return std::make_error_code(std::errc::file_exists);
  mark_dead(entry);
  return {};
}

void Registry::mark_dead(Entry& entry) noexcept {
  // select and libkqueue do not forget a closed descriptor by themselves.
  if (any(entry.polled) && owns_set() && !knows_files_) {
    static_cast<void>(poller_->remove(entry.target->fd_, entry.polled));
  }
  entry.flags |= kDead;
  entry.polled = Interest::none;
  // Later events of this registration are stale: a copy of the descriptor may keep it in the set.
  ++entry.generation;
  entry.retired_in = batch_;
  if ((entry.flags & kBackground) == 0) {
    entry.flags |= kBackground;
    --keeping_;
  }
  const auto number = static_cast<std::size_t>(entry.target->fd_);
  if (by_number_[number] == entry.target->index_) by_number_[number] = kNobody;
}

bool Registry::disown(PollTarget& target) noexcept {
  mark_dead(entries_[target.index_]);
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
  const std::uint32_t index = take_entry();
  Entry& entry = entries_[index];
  entry.target = &target;
  entry.wanted = entry.polled = Interest::none;
  entry.flags = static_cast<std::uint8_t>((background ? kBackground : 0) |
                                          (trigger == Trigger::edge ? kEdge : 0) |
                                          (trigger == Trigger::exclusive ? kShared : 0));
  target.index_ = index;
  by_number_[static_cast<std::size_t>(target.fd_)] = index;
  if (!background) ++keeping_;
  entry.wanted = interest;
  const std::error_code error = any(interest) ? poll_for(entry, interest) : std::error_code{};
  if (error) detach(target, Detach::staying);
  return error;
}

// Tells the kernel to watch for `interest`, which is not none.
std::error_code Registry::poll_for(Entry& entry, Interest interest) {
  const int fd = entry.target->fd_;
  const Token token = token_of(*entry.target);
  std::error_code error;
  if (any(entry.polled) && (entry.flags & kShared) != 0) {  // can't be modified: added again below
    drop(entry);
    if ((entry.flags & kDead) != 0) return Errc::handle_dead;
  }
  if (any(entry.polled)) {
    error = poller_->modify(fd, entry.polled, interest, token);
  } else {
    const Trigger trigger = trigger_of(entry);
    error = poller_->add(fd, interest, token, trigger);
    if (error == std::errc::file_exists) {
      // The kernel kept a registration that had ended here, because its open file lived on under
      // another descriptor. Now this number stands for that file again, so the registration can be
      // removed.
      static_cast<void>(poller_->remove(fd, interest));
      error = poller_->add(fd, interest, token, trigger);
    }
    if (error == std::errc::operation_not_permitted) return Errc::not_pollable;
  }
  if (forgotten(error) && any(entry.polled)) {
    mark_dead(entry);
    return Errc::handle_dead;
  }
  if (!error) entry.polled = interest;
  return error;
}

std::error_code Registry::set_interest(PollTarget& target, Interest interest) {
  if (!target.attached()) return Errc::handle_dead;
  Entry& entry = entries_[target.index_];
  if ((entry.flags & kDead) != 0) return Errc::handle_dead;
  entry.wanted = interest;
  if ((interest & entry.polled) == interest) {  // less interest is dropped lazily
    if (!any(interest) && any(entry.polled) && (entry.flags & kShared) != 0) drop(entry);
    return {};
  }
  if (!any(entry.polled) && !target.holds_file()) {
    mark_dead(entry);
    return Errc::handle_dead;
  }
  return poll_as_wanted(entry);
}

std::error_code Registry::poll_as_wanted(Entry& entry) noexcept {
  std::error_code error;
  try {
    error = poll_for(entry, entry.wanted);
  } catch (const std::bad_alloc&) {
    error = std::make_error_code(std::errc::not_enough_memory);
  }
  if (error && (entry.flags & kDead) == 0) behind_ = true;
  return error;
}

// At most once per kCatchUpInterval, asks the kernel again for the interest that is lacking.
// Returns how long to wait before the next attempt.
Duration Registry::catch_up(TimePoint now) noexcept {
  if (now < next_catch_up_) return next_catch_up_ - now;
  next_catch_up_ = now + kCatchUpInterval;
  behind_ = false;
  for (Entry& entry : entries_) {
    if (entry.target == nullptr || (entry.flags & kDead) != 0 || entry.target->fd_ < 0) continue;
    if ((entry.wanted & entry.polled) == entry.wanted) continue;
    const bool closed = !any(entry.polled) && !entry.target->holds_file();
    if (closed || forgotten(poll_as_wanted(entry))) mark_dead(entry);
  }
  return behind_ ? kCatchUpInterval : kForever;
}

// The kernel can't change the trigger of a registration, so the descriptor is removed and added
// again.
void Registry::share(PollTarget& target) noexcept {
  if (!alive(target)) return;
  Entry& entry = entries_[target.index_];
  if (any(entry.polled)) drop(entry);
  entry.flags |= kShared;
  if (any(entry.wanted) && alive(target)) static_cast<void>(poll_as_wanted(entry));
}

Trigger Registry::trigger_of(const Entry& entry) noexcept {
  if ((entry.flags & kEdge) != 0) return Trigger::edge;
  return (entry.flags & kShared) != 0 ? Trigger::exclusive : Trigger::level;
}

Interest Registry::interest(const PollTarget& target) const noexcept {
  return target.attached() ? entries_[target.index_].wanted : Interest::none;
}

bool Registry::alive(const PollTarget& target) const noexcept {
  return target.attached() && (entries_[target.index_].flags & kDead) == 0;
}

void Registry::set_background(PollTarget& target, bool background) noexcept {
  if (!alive(target)) return;
  Entry& entry = entries_[target.index_];
  if (background == ((entry.flags & kBackground) != 0)) return;
  entry.flags ^= kBackground;
  background ? --keeping_ : ++keeping_;
}

void Registry::detach(PollTarget& target, Detach how) noexcept {
  if (!target.attached()) return;
  if (owns_set()) {
    note_forks();
    const Entry& entry = entries_[target.index_];
    const bool kernel_forgets = how == Detach::closing && (entry.flags & kForked) == 0;
    // A poller that knows descriptors only by number needs remove() even if the descriptor is
    // closed. For select, remove() costs no system call.
    if (any(entry.polled) && (!kernel_forgets || !knows_files_)) {
      static_cast<void>(poller_->remove(target.fd_, entry.polled));  // an error: gone already
    }
  }
  retire(target);
}

void Registry::retire(PollTarget& target) noexcept {
  Entry& entry = entries_[target.index_];
  const auto number = static_cast<std::size_t>(target.fd_);
  if (target.fd_ >= 0 && by_number_[number] == target.index_) by_number_[number] = kNobody;
  if ((entry.flags & kBackground) == 0) --keeping_;
  ++entry.generation;
  entry.retired_in = batch_;
  entry.target = nullptr;
  entry.wanted = entry.polled = Interest::none;
  free_[free_count_++] = target.index_;
  target.index_ = PollTarget::kDetached;
}

std::error_code Registry::attach_process(PollTarget& target, pid_t pid) {
  const std::uint32_t index = take_entry();
  Entry& entry = entries_[index];
  entry.target = &target;
  entry.wanted = Interest::read;
  entry.flags = kBackground;
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

// After a fork, a child may hold copies of all descriptors that were open then. Closing our copy
// then no longer removes it from the kernel's set (epoll(7), question 6).
void Registry::note_forks() noexcept {
  if (forks_ == fork_count()) return;
  forks_ = fork_count();
  for (Entry& entry : entries_) {
    if (entry.target != nullptr) entry.flags |= kForked;
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

void Registry::note_stale(const Entry& entry) noexcept {
  ++stale_;
  if (entry.retired_in != batch_) needs_rebuild_ = true;
}

void Registry::drop_unwanted(Entry& entry) {
  if (!any(entry.polled) || entry.polled == entry.wanted) return;
  if (any(entry.wanted)) {
    static_cast<void>(poll_as_wanted(entry));
  } else {
    drop(entry);
  }
}

// Removes the descriptor from the kernel's set, because hang-ups are reported even without
// interest. The descriptor is added again when the target wants events.
void Registry::drop(Entry& entry) {
  if (forgotten(poller_->remove(entry.target->fd_, entry.polled))) {
    mark_dead(entry);
    needs_rebuild_ = true;  // no call can reach the registration any more
  }
  entry.polled = Interest::none;
}

std::uint64_t Registry::take_stale_count() noexcept {
  const std::uint64_t count = stale_;
  stale_ = 0;
  return count;
}

// Marks a target as dead if its descriptor was closed. Call it before the old set is replaced: a
// new set would register any file that has the number now. A forked child can't ask its parent's
// set, so it compares file identities.
void Registry::mark_closed() noexcept {
  for (Entry& entry : entries_) {
    if (entry.target == nullptr || (entry.flags & kDead) != 0 || entry.target->fd_ < 0) continue;
    const bool asks = any(entry.polled) && owns_set();
    const bool closed = !entry.target->holds_file() ||
                        (asks && forgotten(poller_->modify(entry.target->fd_, entry.polled,
                                                           entry.polled, token_of(*entry.target))));
    if (closed) mark_dead(entry);
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
  for (Entry& entry : entries_) {
    entry.polled = Interest::none;
    if (entry.target == nullptr || entry.target->fd_ < 0 || !any(entry.wanted)) continue;
    if ((entry.flags & kDead) != 0) continue;
    const std::error_code error = poll_as_wanted(entry);
    if (forgotten(error)) mark_dead(entry);
    if (error && !forgotten(error) && !first_error) first_error = error;
  }
  return first_error;
}

// A target may destroy others meanwhile, but nothing can be attached any more.
void Registry::end_targets() noexcept {
  for (std::size_t index = 0; index < entries_.size(); ++index) {
    if (PollTarget* const target = entries_[index].target) target->on_loop_end();
  }
}

// Descriptors 0, 1 and 2 stay open, because other code uses them too.
void Registry::close_in_child() noexcept {
  for (const Entry& entry : entries_) {
    const bool held =
        entry.target != nullptr && (entry.flags & kDead) == 0 && entry.target->holds_file();
    if (held && entry.target->fd_ > STDERR_FILENO) ::close(entry.target->fd_);
  }
  poller_.reset();
}

}  // namespace reactor
