// SPDX-License-Identifier: MIT
// Queue: one kqueue of the model. Its descriptor is an epoll set, readable while events are
// pending. A set takes a number once only: the second filter of a number is in another set, nested
// in it.
#pragma once

#include <sys/epoll.h>
#include <sys/event.h>

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "tests/support/kqueue/knote.h"
#include "tests/support/kqueue/real_fd.h"

namespace reactor::kqueue_model {

class Queue {
 public:
  // Null, and errno, where there is no descriptor left.
  [[nodiscard]] static std::unique_ptr<Queue> make();

  [[nodiscard]] int descriptor() const noexcept { return own_.get(); }

  // Gives errno, 0 for success.
  int apply(const struct kevent& change);

  // Takes the events that are pending; gives their number.
  std::size_t fetch(std::span<struct kevent> events);

  // The number is about to be closed.
  void drop_number(int fd);

  // Leaves the closing of the own descriptor to whoever is at it.
  void give_descriptor_up() noexcept { static_cast<void>(own_.release()); }

 private:
  using Key = std::pair<short, std::uintptr_t>;  // filter, ident
  using Knotes = std::map<Key, Knote>;

  Queue() = default;
  [[nodiscard]] int set_of(const Knote& knote) const noexcept;
  [[nodiscard]] bool is_second(const Key& key) const;
  int attach(const Key& key, const struct kevent& change);
  // Puts the knote into its set, or out of it, as it is enabled. False where it is not there.
  bool update(Knote& knote, int operation);
  void erase(Knotes::iterator found);
  std::size_t fetch_from(int set, std::span<struct kevent> events);
  // The event of a ready knote, which is disabled or dropped by it where its flags say so.
  struct kevent take(Knote& knote, std::uint32_t epoll_events);

  RealFd own_, second_;
  Knotes knotes_;
  std::vector<epoll_event> ready_;
  bool second_first_ = true;  // in turns, so that neither set starves the other
};

}  // namespace reactor::kqueue_model
