// SPDX-License-Identifier: MIT
#include "tests/support/kqueue/queue.h"

#include <fcntl.h>
#include <sys/epoll.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace reactor::kqueue_model {
namespace {

bool known(short filter) {
  return filter == EVFILT_READ || filter == EVFILT_WRITE || filter == EVFILT_PROC;
}

bool nest(int outer, int inner) {
  epoll_event event{};  // the pointer stays null: the nested set has no knote
  event.events = EPOLLIN;
  return ::epoll_ctl(outer, EPOLL_CTL_ADD, inner, &event) == 0;
}

}  // namespace

std::unique_ptr<Queue> Queue::make() {
  std::unique_ptr<Queue> queue(new Queue);
  queue->own_ = RealFd(::epoll_create1(0));  // the caller sets close-on-exec
  queue->second_ = RealFd(::epoll_create1(EPOLL_CLOEXEC));
  if (!queue->own_ || !queue->second_) return nullptr;
  if (!nest(queue->own_.get(), queue->second_.get())) return nullptr;
  return queue;
}

int Queue::set_of(const Knote& knote) const noexcept {
  return knote.second() ? second_.get() : own_.get();
}

bool Queue::is_second(const Key& key) const {
  const auto [filter, ident] = key;
  if (filter == EVFILT_PROC) return false;
  const auto other = knotes_.find(Key(filter == EVFILT_READ ? EVFILT_WRITE : EVFILT_READ, ident));
  return other != knotes_.end() && !other->second.second();
}

int Queue::apply(const struct kevent& change) {
  if (!known(change.filter)) return EINVAL;
  if (change.filter != EVFILT_PROC) {
    const int fd = static_cast<int>(change.ident);
    if (::fcntl(fd, F_GETFD) < 0) return EBADF;
    if (fd == own_.get()) return EINVAL;
  }
  const Key key(change.filter, change.ident);
  const auto found = knotes_.find(key);
  if (found == knotes_.end()) return (change.flags & EV_ADD) != 0 ? attach(key, change) : ENOENT;
  if ((change.flags & EV_DELETE) != 0) {
    erase(found);
    return 0;
  }
  const bool was_disabled = found->second.disabled();
  found->second.touch(change);
  const int operation = was_disabled ? EPOLL_CTL_ADD : EPOLL_CTL_MOD;
  if (update(found->second, operation)) return 0;
  const int error = errno;
  erase(found);
  return error;
}

int Queue::attach(const Key& key, const struct kevent& change) {
  Knote knote;
  if (const int error = knote.attach(change)) return error;
  knote.set_second(is_second(key));
  const auto added = knotes_.emplace(key, std::move(knote)).first;
  if (added->second.disabled()) return 0;
  if (update(added->second, EPOLL_CTL_ADD)) return 0;
  const int error = errno;
  knotes_.erase(added);
  return error;
}

bool Queue::update(Knote& knote, int operation) {
  if (knote.disabled()) {
    if (operation == EPOLL_CTL_ADD) return true;  // a disabled knote is not in the set
    operation = EPOLL_CTL_DEL;
  }
  epoll_event event{};
  event.events = knote.epoll_events();
  event.data.ptr = &knote;
  return ::epoll_ctl(set_of(knote), operation, knote.descriptor(), &event) == 0;
}

void Queue::erase(Knotes::iterator found) {
  if (!found->second.disabled()) {
    ::epoll_ctl(set_of(found->second), EPOLL_CTL_DEL, found->second.descriptor(), nullptr);
  }
  knotes_.erase(found);
}

void Queue::drop_number(int fd) {
  for (const int filter : {EVFILT_READ, EVFILT_WRITE}) {
    const auto found = knotes_.find(Key(filter, fd));
    if (found != knotes_.end()) erase(found);
  }
}

std::size_t Queue::fetch(std::span<struct kevent> events) {
  second_first_ = !second_first_;
  if (second_first_) {
    const std::size_t used = fetch_from(second_.get(), events);
    return used + fetch_from(own_.get(), events.subspan(used));
  }
  const std::size_t used = fetch_from(own_.get(), events);
  return used + fetch_from(second_.get(), events.subspan(used));
}

// Calls epoll_wait(2) once per set, because a second call would return the same ready descriptors
// again.
std::size_t Queue::fetch_from(int set, std::span<struct kevent> events) {
  if (events.empty()) return 0;
  if (ready_.size() < events.size()) ready_.resize(events.size());
  const int count = ::epoll_wait(set, ready_.data(), static_cast<int>(events.size()), 0);
  std::size_t used = 0;
  for (const epoll_event& one :
       std::span(ready_).first(static_cast<std::size_t>(std::max(count, 0)))) {
    auto* const knote = static_cast<Knote*>(one.data.ptr);
    if (knote != nullptr) events[used++] = take(*knote, one.events);  // null: the nested set
  }
  return used;
}

struct kevent Queue::take(Knote& knote, std::uint32_t epoll_events) {
  const struct kevent event = knote.report(epoll_events);
  if (knote.ends_when_reported()) {
    erase(knotes_.find(Key(event.filter, event.ident)));
  } else if (knote.has(EV_DISPATCH)) {
    knote.set_disabled(true);
    update(knote, EPOLL_CTL_MOD);
  }
  return event;
}

}  // namespace reactor::kqueue_model
