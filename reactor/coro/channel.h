// SPDX-License-Identifier: MIT
// Channel<T> is a bounded queue between coroutines of one loop. push() waits while the channel is
// full, and pop() waits while it is empty. So a slow consumer holds back a fast producer.
//
//   Channel<std::string> lines(16);
//   ... co_await lines.push("hello");
//   ... while (auto line = co_await lines.pop()) use(*line);   // until close()
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "reactor/coro/coro_context.h"

namespace reactor::coro {

// Any number of coroutines may push and pop; they are served in the order of their calls. If a task
// is destroyed while it waits in pop(), no value is lost. If a task is destroyed while it waits in
// push(), the value that it pushes is lost, unless the channel has already taken that value. Moving
// a T must not throw. Destroying the channel closes it for all waiting coroutines. A channel
// belongs to its loop's thread.
template <class T>
class Channel {
  static_assert(std::is_nothrow_move_constructible_v<T>,
                "a value that may throw while it is moved would be lost; move it by a unique_ptr");

 public:
  class Push;
  class Pop;

  // The channel holds up to `capacity` values before push() waits. A capacity of 0 counts as 1.
  // Only the constructor allocates.
  explicit Channel(std::size_t capacity)
      : capacity_(std::max<std::size_t>(capacity, 1)),
        ring_(std::make_unique<std::optional<T>[]>(capacity_)) {}
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;
  ~Channel();

  // `bool taken = co_await channel.push(value)` adds a value. It returns false if the channel was
  // closed; the value is then lost.
  [[nodiscard]] Push push(T value) { return Push(*this, std::move(value)); }
  // `std::optional<T> value = co_await channel.pop()` takes a value. It returns nothing if the
  // channel was closed and has no more values.
  [[nodiscard]] Pop pop() noexcept { return Pop(*this); }

  // try_push() and try_pop() never wait, so callbacks may call them, too. try_push() returns false
  // and leaves `value` untouched if the channel is full or closed. try_pop() returns nothing if the
  // channel is empty.
  [[nodiscard]] bool try_push(T&& value);
  [[nodiscard]] std::optional<T> try_pop();

  // Refuses all pushes from now on. Coroutines that wait in push() get false. Values that are in
  // the channel can still be popped.
  void close() noexcept;
  [[nodiscard]] bool closed() const noexcept { return closed_; }
  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] std::size_t capacity() const noexcept { return capacity_; }

 private:
  // A Seat is the entry of a waiting coroutine in a list of the channel. A push() leaves its list
  // when its coroutine is scheduled. A pop() stays in one of the lists until its coroutine runs.
  struct Seat : ListLink {
    explicit Seat(Channel& at) noexcept : channel(&at) {}
    Seat(Seat&& other) noexcept : channel(other.channel) {}
    ~Seat() { unlink(); }
    Channel* channel;  // null if the channel was destroyed
    Waiter waiter;
  };
  struct PushSeat : Seat {
    PushSeat(Channel& at, T pushed) : Seat(at), value(std::move(pushed)) {}
    PushSeat(PushSeat&&) = default;
    T value;
    bool taken = false;
  };
  struct PopSeat : Seat {
    using Seat::Seat;
    bool promised = false;  // a value is reserved for this coroutine
  };

  // Returns whether there is a value that is not promised to a woken coroutine.
  [[nodiscard]] bool poppable() const noexcept { return size_ > promised_; }
  void put(T&& value) {
    ring_[(first_ + size_) % capacity_].emplace(std::move(value));
    ++size_;
    wake_one_popper();
  }
  [[nodiscard]] std::optional<T> take() {
    std::optional<T> value = std::exchange(ring_[first_], std::nullopt);
    first_ = (first_ + 1) % capacity_;
    --size_;
    wake_one_pusher();
    return value;
  }
  void wake_one_popper() noexcept;
  void wake_one_pusher();
  static void abandon(IntrusiveList& seats, bool wake) noexcept;

  std::size_t capacity_;
  std::unique_ptr<std::optional<T>[]> ring_;
  std::size_t first_ = 0, size_ = 0;
  std::size_t promised_ = 0;  // values reserved for the coroutines in woken_
  bool closed_ = false;
  IntrusiveList pushers_;
  IntrusiveList poppers_;
  IntrusiveList woken_;  // poppers that will resume
};

template <class T>
class Channel<T>::Push : private PushSeat {
 public:
  Push(Channel& at, T pushed) : PushSeat(at, std::move(pushed)) {}
  Push(Push&&) = default;

  [[nodiscard]] bool await_ready() {
    this->taken = this->channel->try_push(std::move(this->value));
    return this->taken || this->channel->closed_;
  }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    this->waiter.suspend(coroutine);
    this->channel->pushers_.append(*this);
  }
  bool await_resume() const noexcept { return this->taken; }
};

template <class T>
class Channel<T>::Pop : private PopSeat {
 public:
  explicit Pop(Channel& at) noexcept : PopSeat(at) {}
  Pop(Pop&&) noexcept = default;
  ~Pop() {
    // If this Pop was woken for a value but is destroyed before it resumes, the next coroutine that
    // waits in pop() gets the value.
    if (!this->promised || this->channel == nullptr) return;
    this->unlink();
    --this->channel->promised_;
    this->channel->wake_one_popper();
  }

  [[nodiscard]] bool await_ready() const noexcept {
    return this->channel->poppable() || this->channel->closed_;
  }
  template <std::derived_from<Promise> P>
  void await_suspend(std::coroutine_handle<P> coroutine) noexcept {
    this->waiter.suspend(coroutine);
    this->channel->poppers_.append(*this);
  }
  [[nodiscard]] std::optional<T> await_resume() {
    if (this->channel == nullptr) return std::nullopt;
    this->unlink();
    if (std::exchange(this->promised, false)) {
      --this->channel->promised_;
      return this->channel->take();
    }
    return this->channel->try_pop();
  }
};

template <class T>
Channel<T>::~Channel() {
  abandon(pushers_, true);
  abandon(poppers_, true);
  abandon(woken_, false);
}

template <class T>
bool Channel<T>::try_push(T&& value) {
  if (closed_ || size_ == capacity_) return false;
  put(std::move(value));
  return true;
}

template <class T>
std::optional<T> Channel<T>::try_pop() {
  if (!poppable()) return std::nullopt;
  return take();
}

template <class T>
void Channel<T>::close() noexcept {
  closed_ = true;
  // The coroutines that are woken here resume later and find the channel closed. A push() does not
  // use the channel when it resumes, but a pop() does. So each waiting pop() moves to the list
  // woken_, where ~Channel() finds it and tells it that the channel is gone.
  while (ListLink* link = pushers_.first()) {
    link->unlink();
    static_cast<Seat*>(link)->waiter.wake();
  }
  while (ListLink* link = poppers_.first()) {
    link->unlink();
    woken_.append(*link);
    static_cast<Seat*>(link)->waiter.wake();
  }
}

template <class T>
void Channel<T>::wake_one_popper() noexcept {
  ListLink* const link = poppers_.first();
  if (link == nullptr || !poppable()) return;
  auto& popper = static_cast<PopSeat&>(static_cast<Seat&>(*link));
  popper.promised = true;
  ++promised_;
  popper.unlink();
  woken_.append(popper);
  popper.waiter.wake();
}

template <class T>
void Channel<T>::wake_one_pusher() {
  ListLink* const link = pushers_.first();
  if (link == nullptr) return;
  auto& pusher = static_cast<PushSeat&>(static_cast<Seat&>(*link));
  pusher.unlink();
  pusher.taken = true;
  put(std::move(pusher.value));
  pusher.waiter.wake();
}

template <class T>
void Channel<T>::abandon(IntrusiveList& seats, bool wake) noexcept {
  while (ListLink* link = seats.first()) {
    auto& seat = static_cast<Seat&>(*link);
    seat.unlink();
    seat.channel = nullptr;
    if (wake) seat.waiter.wake();
  }
}

}  // namespace reactor::coro
