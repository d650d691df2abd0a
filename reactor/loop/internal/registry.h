// SPDX-License-Identifier: MIT
// Registry finds the target of a token or a descriptor. Private to the loop.
//
// A target's entry is named by Token{index, generation}; the kernel carries the token. Ending a
// registration raises the generation, so an event that was fetched before finds no target (G1), and
// the entry can be reused at once.
//
// An entry is in one of these states:
//   free    It has no target.
//   live    `wanted` is the interest that the target asked for, `polled` the interest that the
//           kernel knows. `polled` may be more, because interest is dropped lazily. If `polled` is
//           none, the descriptor is not in the kernel's set. If `polled` lacks something, because
//           the kernel had no memory, the registry is "behind", and wait() tries again until
//           nothing is lacking.
//   dead    Its target is attached, but the descriptor was closed. Nothing is polled, and
//           set_interest() returns Errc::handle_dead. Only detach() still has an effect.
//
// One oddity: if the open file of an ended registration lives on (dup, fork), the kernel keeps the
// registration, and no call can reach it any more. Its events carry a token that was retired before
// the batch began. In that case all registrations are moved to a new kernel set: see rebuild().
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/loop/poll_target.h"
#include "reactor/poller/internal/poller.h"

namespace reactor {

class Registry {
 public:
  explicit Registry(std::unique_ptr<Poller> poller);
  // Detaches the remaining targets, without system calls.
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // These are Loop's calls of the same names. They throw nothing: their caller often runs in a
  // callback and could not handle an exception. If there is no memory, attach() changes nothing.
  std::error_code attach(PollTarget& target, Interest interest, bool background, Trigger trigger);
  std::error_code set_interest(PollTarget& target, Interest interest);
  void share(PollTarget& target) noexcept;
  void detach(PollTarget& target, Detach how) noexcept;
  [[nodiscard]] Interest interest(const PollTarget& target) const noexcept;
  // Returns whether an event of `target` is really its own. If the descriptor was closed and its
  // number reused, marks the target as dead and returns false.
  [[nodiscard]] bool confirms(PollTarget& target) noexcept {
    return knows_files_ || target.holds_file() || disown(target);
  }
  // Returns false once the target's descriptor was found closed.
  [[nodiscard]] bool alive(const PollTarget& target) const noexcept;
  // Reports the exit of `pid` as a readable event of the target, if the poller can watch processes.
  std::error_code attach_process(PollTarget& target, pid_t pid);
  void detach_process(PollTarget& target, pid_t pid) noexcept;
  void set_background(PollTarget& target, bool background) noexcept;

  // Returns how many attached targets keep run() going, and how many there are in all.
  [[nodiscard]] std::size_t keeping() const noexcept { return keeping_; }
  [[nodiscard]] std::size_t attached() const noexcept { return entries_.size() - free_count_; }

  // The interval at which the kernel is asked again for interest that it has refused.
  static constexpr Duration kCatchUpInterval = std::chrono::milliseconds(100);
  // Fetches the next batch. Call it only after the last batch is used up.
  std::error_code wait(Duration timeout);
  // Returns the target of the batch's next event, or null at the end of the batch. Skips stale
  // events. Also skips events that their target does not want, and makes the kernel stop watching
  // for them.
  [[nodiscard]] PollTarget* next_event(Ready& ready) {
    while (position_ != end_) {
      const PollEvent& event = *position_++;
      Entry& entry = entries_[event.token.index];  // the table never shrinks
      if (entry.generation != event.token.generation) [[unlikely]] {
        note_stale(entry);
        continue;
      }
      ready = Ready(event.ready.bits() & entry.wanted);
      if (any(ready.bits())) [[likely]] {
        if (entry.target == nullptr) __builtin_unreachable();  // a live generation has a target
        return entry.target;
      }
      drop_unwanted(entry);
    }
    return nullptr;
  }
  // Returns how many events the batch has in all, handled or not.
  [[nodiscard]] std::size_t batch_size() const noexcept {
    return static_cast<std::size_t>(end_ - events_.data());
  }
  [[nodiscard]] bool batch_left() const noexcept { return position_ != end_; }
  // Returns whether the batch had a token that the kernel should have forgotten.
  [[nodiscard]] bool needs_rebuild() const noexcept { return needs_rebuild_; }
  [[nodiscard]] std::uint64_t take_stale_count() noexcept;

  // Moves all registrations into a new kernel set. Call it if needs_rebuild() is true, or in a
  // forked child. Targets whose descriptor was closed are dead from then on, whatever file has
  // their number now. Returns the first error; the registry is behind then.
  std::error_code rebuild(std::unique_ptr<Poller> poller);
  // Calls on_loop_end() of each target.
  void end_targets() noexcept;
  // Does what Loop's function of this name does. After it, only destruction is allowed.
  void close_in_child() noexcept;

  [[nodiscard]] Poller& poller() noexcept { return *poller_; }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Entry& entry : entries_) {
      if (entry.target != nullptr) visit(*entry.target);
    }
  }

 private:
  // kBackground  The target does not keep run() going.
  // kEdge        It is watched with Trigger::edge.
  // kDead        Its descriptor was closed: see above.
  // kForked      A fork has happened since attach(). A child may hold a copy of the descriptor, so
  //              closing the descriptor may not remove it from the kernel's set.
  // kShared      It is watched with Trigger::exclusive.
  enum Flag : std::uint8_t { kBackground = 1, kEdge = 2, kDead = 4, kForked = 8, kShared = 16 };

  struct Entry {  // 16 bytes: four in a cache line
    PollTarget* target = nullptr;
    std::uint32_t generation = 1;
    std::uint8_t flags = 0;
    Interest wanted = Interest::none;  // as the target asked
    Interest polled = Interest::none;  // as the kernel was told; `wanted` or more
    std::uint8_t retired_in = 0;       // number of the batch in which the last generation ended
  };

  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};

  [[nodiscard]] Token token_of(const PollTarget& target) const noexcept;
  std::error_code try_to_attach(PollTarget& target, Interest interest, bool background,
                                Trigger trigger);
  std::uint32_t take_entry();
  void add_entry();
  std::error_code claim_number(int fd);
  std::error_code poll_for(Entry& entry, Interest interest);
  std::error_code poll_as_wanted(Entry& entry) noexcept;
  Duration catch_up(TimePoint now) noexcept;
  void drop_unwanted(Entry& entry);
  void drop(Entry& entry);
  [[nodiscard]] static Trigger trigger_of(const Entry& entry) noexcept;
  void note_stale(const Entry& entry) noexcept;
  void mark_dead(Entry& entry) noexcept;
  bool disown(PollTarget& target) noexcept;  // returns false
  void mark_closed() noexcept;
  void note_forks() noexcept;
  void retire(PollTarget& target) noexcept;
  // Returns false in a forked child, which must leave the parent's set alone (G9).
  [[nodiscard]] bool owns_set() const noexcept;

  std::unique_ptr<Poller> poller_;
  std::vector<Entry> entries_;
  std::vector<std::uint32_t> free_;       // indices of unused entries
  std::vector<std::uint32_t> by_number_;  // descriptor -> entry; kNobody if unwatched
  std::vector<PollEvent> events_;
  const PollEvent* position_;  // the next event of the batch to handle
  const PollEvent* end_;
  std::size_t free_count_ = 0;
  std::size_t keeping_ = 0;
  std::uint64_t stale_ = 0;
  TimePoint next_catch_up_{};
  std::uint32_t forks_;     // fork_count() when it was last checked
  std::uint8_t batch_ = 0;  // counts batches, modulo 256
  bool needs_rebuild_ = false;
  bool behind_ = false;  // the kernel does not watch for something that a target wants
  bool knows_files_;     // as the poller says
  std::uint32_t owner_;  // process_generation() of the process that owns the kernel's set
};

}  // namespace reactor
