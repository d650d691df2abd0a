// SPDX-License-Identifier: MIT
// This is the backend for epoll(7). The kernel carries the token in data.u64, so this file keeps no
// table of descriptors. epoll has these oddities:
//
//   - EPOLLHUP and EPOLLERR are reported even if nobody asked for them: see to_interest().
//   - A registration belongs to the open file, not to the number. It outlives close(2) if a copy of
//     the descriptor is open, and then no call can remove it. The loop deals with that
//     (registry.h).
//   - EPOLLEXCLUSIVE allows no EPOLL_CTL_MOD: such a registration is removed and added again.
//   - epoll_wait(2) counts in milliseconds. epoll_pwait2(2) is exact, but some kernels lack it and
//     some sandboxes refuse it: see wait_batch().
#if defined(__linux__)

#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <vector>

#include "reactor/base/error.h"
#include "reactor/base/unique_fd.h"
#include "reactor/poller/internal/poller.h"

namespace reactor {
namespace {

std::uint32_t to_epoll(Interest interest) {
  std::uint32_t events = 0;
  if (any(interest & Interest::read)) events |= EPOLLIN;
  if (any(interest & Interest::write)) events |= EPOLLOUT;
  return events;
}

std::uint32_t to_epoll(Trigger trigger) {
  if (trigger == Trigger::edge) return EPOLLET;
  return trigger == Trigger::exclusive ? std::uint32_t{EPOLLEXCLUSIVE} : 0;
}

// EPOLLHUP and EPOLLERR are reported even if nobody asked for them (epoll_ctl(2)). They count as
// readable and writable, so that the caller's next read or write returns the error.
constexpr Interest to_interest(std::uint32_t events) {
  if ((events & (EPOLLHUP | EPOLLERR)) != 0) return Interest::read_write;
  Interest bits = Interest::none;
  if ((events & EPOLLIN) != 0) bits = bits | Interest::read;
  if ((events & EPOLLOUT) != 0) bits = bits | Interest::write;
  return bits;
}

// This table holds the results of to_interest(), so that each event costs one load. All bits that
// matter are among the lowest five.
constexpr std::size_t kMasks = 32;
static_assert((EPOLLIN | EPOLLOUT | EPOLLERR | EPOLLHUP) < kMasks);

constexpr auto kReadyOf = [] {
  std::array<Ready, kMasks> table;
  for (std::uint32_t mask = 0; mask < kMasks; ++mask) table[mask] = Ready(to_interest(mask));
  return table;
}();

timespec to_timespec(Duration timeout) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(timeout);
  return {static_cast<time_t>(seconds.count()), static_cast<long>((timeout - seconds).count())};
}

int to_milliseconds(Duration timeout) {
  constexpr Duration kLongest = std::chrono::milliseconds(INT_MAX - 1);
  const Duration limited = std::min(timeout, kLongest);
  return static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(limited).count());
}

class EpollPoller final : public Poller {
 public:
  explicit EpollPoller(UniqueFd epoll) : epoll_(std::move(epoll)), batch_(kFirstBatch) {}

  std::error_code add(int fd, Interest interest, Token token, Trigger trigger) override {
    return control(EPOLL_CTL_ADD, fd, to_epoll(interest) | to_epoll(trigger), token);
  }

  std::error_code modify(int fd, Interest, Interest after, Token token) override {
    return control(EPOLL_CTL_MOD, fd, to_epoll(after), token);
  }

  std::error_code remove(int fd, Interest) override {
    return control(EPOLL_CTL_DEL, fd, 0, Token{});
  }

  Result<std::size_t> wait(std::span<PollEvent> events, Duration timeout) override {
    const std::size_t room = grow_batch(batch_, events.size());
    const int count = wait_batch(static_cast<int>(room), timeout);
    if (count < 0) {
      if (errno == EINTR) return std::size_t{0};
      return last_system_error();
    }
    for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
      events[i].token = Token::unpack(batch_[i].data.u64);
      events[i].ready = kReadyOf[batch_[i].events % kMasks];
    }
    return static_cast<std::size_t>(count);
  }

  [[nodiscard]] int backend_fd() const noexcept override { return epoll_.get(); }
  [[nodiscard]] bool edge_triggered() const noexcept override { return true; }

 private:
  std::error_code control(int operation, int fd, std::uint32_t events, Token token) {
    epoll_event event{};
    event.events = events;
    event.data.u64 = token.pack();
    if (::epoll_ctl(epoll_.get(), operation, fd, &event) == 0) return {};
    return last_system_error();
  }

  int wait_batch(int room, Duration timeout) {
    if (timeout == Duration::zero()) return ::epoll_wait(epoll_.get(), batch_.data(), room, 0);
    if (timeout == kForever) return ::epoll_wait(epoll_.get(), batch_.data(), room, -1);
#if defined(SYS_epoll_pwait2)
    if (precise_) {  // precise to the nanosecond, since Linux 5.11; some sandboxes refuse it
      const timespec limit = to_timespec(timeout);
      const long count = ::syscall(SYS_epoll_pwait2, epoll_.get(), batch_.data(), room, &limit,
                                   nullptr, sizeof(std::uint64_t));
      if (count >= 0 || (errno != ENOSYS && errno != EPERM)) return static_cast<int>(count);
      precise_ = false;
    }
#endif
    return ::epoll_wait(epoll_.get(), batch_.data(), room, to_milliseconds(timeout));
  }

  UniqueFd epoll_;
  std::vector<epoll_event> batch_;
  bool precise_ = true;
};

}  // namespace

Result<std::unique_ptr<Poller>> make_epoll_poller() {
  UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll) return last_system_error();
  return std::unique_ptr<Poller>(std::make_unique<EpollPoller>(std::move(epoll)));
}

}  // namespace reactor

#endif
