// SPDX-License-Identifier: MIT
// Queue is one kqueue of the model. Its descriptor is an epoll set, which is readable while events
// are pending. An epoll set takes each descriptor only once, so the second filter of a descriptor
// goes into a second set, which is nested in the first.
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
  // Returns null, with errno set, if no descriptor is left.
  [[nodiscard]] static std::unique_ptr<Queue> make();

  [[nodiscard]] int descriptor() const noexcept { return own_.get(); }

  // Applies one change. Returns an errno value, 0 for success.
  int apply(const struct kevent& change);

  // Takes the pending events. Returns their number.
  std::size_t fetch(std::span<struct kevent> events);

  // Forgets `fd`, which is about to be closed.
  void drop_number(int fd);

  // Leaves it to the caller to close the kqueue's own descriptor.
  void give_descriptor_up() noexcept { static_cast<void>(own_.release()); }

 private:
  using Key = std::pair<short, std::uintptr_t>;  // filter, ident
  using Knotes = std::map<Key, Knote>;

  Queue() = default;
  [[nodiscard]] int set_of(const Knote& knote) const noexcept;
  [[nodiscard]] bool is_second(const Key& key) const;
  int attach(const Key& key, const struct kevent& change);
  // Adds the knote to its set, or takes it out, depending on whether it is enabled. Returns false,
  // with errno set, if epoll_ctl(2) fails.
  bool update(Knote& knote, int operation);
  void erase(Knotes::iterator found);
  std::size_t fetch_from(int set, std::span<struct kevent> events);
  // Makes the event of a ready knote. Disables or drops the knote if its flags say so.
  struct kevent take(Knote& knote, std::uint32_t epoll_events);

  RealFd own_, second_;
  Knotes knotes_;
  std::vector<epoll_event> ready_;
  bool second_first_ = true;  // alternates, so that neither set starves the other
};

}  // namespace reactor::kqueue_model
