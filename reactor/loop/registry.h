// SPDX-License-Identifier: MIT
// Registry: which target stands behind which token and descriptor. Private to the loop.
//
// A slot is named by Token{index, generation}; the kernel carries the token. Ending a registration
// raises the generation, so that an event that was fetched before finds nobody (G1), and the slot
// can be used anew at once. One more thing can happen: the kernel holds on to a registration that
// ended, because the open file lives on elsewhere (dup, fork) and can't be named any more. Its
// events carry a token that was retired before the batch began: then the kernel's set is rebuilt.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "reactor/base/result.h"
#include "reactor/loop/poll_target.h"
#include "reactor/poller/poller.h"

namespace reactor {

class Registry {
 public:
  explicit Registry(std::unique_ptr<Poller> poller);
  // Targets that are left are detached, without a system call each.
  ~Registry();
  Registry(const Registry&) = delete;
  Registry& operator=(const Registry&) = delete;

  // As Loop's calls of these names. Without memory they change nothing and give not_enough_memory:
  // who calls them is often called by the loop, and could do nothing with an exception.
  std::error_code attach(PollTarget& target, Interest interest, bool background, Trigger trigger);
  std::error_code set_interest(PollTarget& target, Interest interest);
  void detach(PollTarget& target, Detach how) noexcept;
  [[nodiscard]] Interest interest(const PollTarget& target) const noexcept;
  // Whether an event of `target` is really its own: false if the descriptor was closed and its
  // number opened anew. The target is dead then.
  [[nodiscard]] bool confirms(PollTarget& target) noexcept {
    return knows_files_ || target.holds_file() || disown(target);
  }
  // False once the descriptor was seen to be closed under its target.
  [[nodiscard]] bool alive(const PollTarget& target) const noexcept;
  // Puts the exit of `pid` on the target as readable, where the poller has such a filter.
  std::error_code attach_process(PollTarget& target, pid_t pid);
  void detach_process(PollTarget& target, pid_t pid) noexcept;
  void set_background(PollTarget& target, bool background) noexcept;

  // How many targets are attached that keep run() going, and how many in all.
  [[nodiscard]] std::size_t keeping() const noexcept { return keeping_; }
  [[nodiscard]] std::size_t attached() const noexcept { return slots_.size() - free_count_; }

  // Fetches the next batch; only once the last is used up.
  std::error_code wait(Duration timeout);
  // The next event of the batch that has a live target which wants it; null at the batch's end.
  // Events that nobody wants are dropped here, and their interest with them.
  [[nodiscard]] PollTarget* next_event(Ready& ready) {
    while (position_ != end_) {
      const PollEvent& event = *position_++;
      Slot& slot = slots_[event.token.index];  // the table never shrinks
      if (slot.generation != event.token.generation) [[unlikely]] {
        note_stale(slot);
        continue;
      }
      ready = Ready(event.ready.bits() & slot.wanted);
      if (any(ready.bits())) [[likely]] {
        if (slot.target == nullptr) __builtin_unreachable();  // a live generation has one
        return slot.target;
      }
      drop_unwanted(slot);
    }
    return nullptr;
  }
  // How many events the batch has in all.
  [[nodiscard]] std::size_t batch_size() const noexcept {
    return static_cast<std::size_t>(end_ - events_.data());
  }
  [[nodiscard]] bool batch_left() const noexcept { return position_ != end_; }
  // Whether the batch showed a token that the kernel should have forgotten.
  [[nodiscard]] bool needs_rebuild() const noexcept { return needs_rebuild_; }
  [[nodiscard]] std::uint64_t take_stale_count() noexcept;

  // Puts all registrations into a new kernel set: after needs_rebuild(), or in a forked child.
  // Those whose descriptor was closed are dead from then on, whatever has their number now.
  std::error_code rebuild(std::unique_ptr<Poller> poller);
  // Calls on_loop_end() of each target.
  void end_targets() noexcept;
  // As Loop's; nothing but destruction may follow.
  void close_in_child() noexcept;

  [[nodiscard]] Poller& poller() noexcept { return *poller_; }
  template <class Visit>
  void for_each(Visit&& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.target != nullptr) visit(*slot.target);
    }
  }

 private:
  enum Flag : std::uint8_t { kBackground = 1, kEdge = 2, kDead = 4, kForked = 8, kShared = 16 };

  struct Slot {  // 16 bytes: four in a cache line
    PollTarget* target = nullptr;
    std::uint32_t generation = 1;
    std::uint8_t flags = 0;
    Interest wanted = Interest::none;  // what the target asked for
    Interest polled = Interest::none;  // what the kernel was told; wanted or more
    std::uint8_t retired_in = 0;       // batch in which the last generation ended
  };

  static constexpr std::uint32_t kNobody = ~std::uint32_t{0};

  [[nodiscard]] Token token_of(const PollTarget& target) const noexcept;
  std::error_code try_to_attach(PollTarget& target, Interest interest, bool background,
                                Trigger trigger);
  std::uint32_t take_slot();
  void add_slot();
  std::error_code claim_number(int fd);
  std::error_code poll_for(Slot& slot, Interest interest);
  void drop_unwanted(Slot& slot);
  void drop(Slot& slot);
  [[nodiscard]] static Trigger trigger_of(const Slot& slot) noexcept;
  void note_stale(const Slot& slot) noexcept;
  void mark_dead(Slot& slot) noexcept;
  bool disown(PollTarget& target) noexcept;  // gives false
  void mark_closed() noexcept;
  void note_forks() noexcept;
  void retire(PollTarget& target) noexcept;
  // A forked child leaves the parent's set alone (G9).
  [[nodiscard]] bool owns_set() const noexcept;

  std::unique_ptr<Poller> poller_;
  std::vector<Slot> slots_;
  std::vector<std::uint32_t> free_;       // indices of unused slots
  std::vector<std::uint32_t> by_number_;  // descriptor -> slot, kNobody where unwatched
  std::vector<PollEvent> events_;
  const PollEvent* position_;  // in the batch, the next to be handled
  const PollEvent* end_;
  std::size_t free_count_ = 0;
  std::size_t keeping_ = 0;
  std::uint64_t stale_ = 0;
  std::uint32_t forks_;     // fork_count() when last looked at
  std::uint8_t batch_ = 0;  // counts, modulo 256
  bool needs_rebuild_ = false;
  bool knows_files_;     // as the poller does
  std::uint32_t owner_;  // process_generation() of whoever the kernel's set belongs to
};

}  // namespace reactor
