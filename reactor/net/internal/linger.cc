// SPDX-License-Identifier: MIT
// These are the states of a lingering socket:
//
//   start(): shut down for writing --> reading --linger_bytes: hold_back()--> waiting
//                                         | the peer closed,                     | its time
//                                         v or its time is over                  v is over
//                                       end()                                  end()
//
// A waiting socket is not read any more, so the kernel's buffer fills and stops the peer.
#include "reactor/net/internal/linger.h"

#include <sys/resource.h>

#include <algorithm>
#include <iterator>
#include <new>
#include <utility>

#include "reactor/net/socket.h"
#include "reactor/net/stream/stream.h"

namespace reactor {
namespace {

// Returns how many of the process's descriptors may linger.
std::size_t share_of_descriptors() noexcept {
  constexpr rlim_t kShare = 8;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return Lingerers::kLeast;
  return std::max(static_cast<std::size_t>(limit.rlim_cur / kShare), Lingerers::kLeast);
}

}  // namespace

class Lingerers::Lingerer final : public PollTarget {
 public:
  Lingerer(Lingerers& all, UniqueFd fd, const StreamOptions& options)
      : PollTarget(fd.get()),
        group(&options),
        all_(all),
        fd_(std::move(fd)),
        idle_(options.linger_idle),
        bytes_left_(options.linger_bytes) {}

  bool start(Duration time) {
    Loop& loop = all_.loop_;
    if (!Socket::shutdown_write(fd_.get())) return false;  // the connection is gone
    if (!loop.attach(*this, Interest::read)) return false;
    end_ = saturating_add(loop.now(), time);
    loop.arm(*this, idle_end());
    return true;
  }

  void stop() noexcept {
    all_.loop_.detach(*this, Detach::closing);
    all_.loop_.disarm(*this);
  }

  void on_ready(Ready) override {
    const IoResult result = Socket::receive(fd_.get(), all_.loop_.scratch());
    if (result.would_block()) return;
    if (!result.ok()) {
      all_.end(*this);
      return;
    }
    moved_ += result.count();
    if (moved_ >= kProgress) {  // a peer that sends less is as good as idle
      moved_ = 0;
      postpone_lazily(idle_end());
    }
    bytes_left_ -= std::min(bytes_left_, result.count());
    if (bytes_left_ == 0) hold_back();
  }

  void on_expire() override { all_.end(*this); }

  [[nodiscard]] HandleInfo describe() const noexcept override {
    return {"lingering", PollTarget::fd(), {}, {}};
  }

  void reset() noexcept { Socket::reset_on_close(fd_.get()); }

  const StreamOptions* const group;
  Queue::iterator place;

 private:
  static constexpr std::size_t kProgress = 4096;

  [[nodiscard]] TimePoint idle_end() const noexcept {
    return std::min(end_, saturating_add(all_.loop_.now(), idle_));
  }

  // Stops reading. The timer then ends this lingerer.
  void hold_back() {
    if (!all_.loop_.set_interest(*this, Interest::none)) all_.end(*this);
  }

  Lingerers& all_;
  const UniqueFd fd_;
  const Duration idle_;
  TimePoint end_{};
  std::size_t moved_ = 0;  // bytes read since the idle time began
  std::size_t bytes_left_;
};

Lingerers::Lingerers(Loop& loop) : loop_(loop) {}

Lingerers::~Lingerers() {
  for (const auto& [group, queue] : queues_) {
    for (const auto& lingerer : queue) lingerer->stop();
  }
}

void Lingerers::add(UniqueFd fd, const StreamOptions& options) noexcept {
  try {
    start(std::move(fd), options);
  } catch (const std::bad_alloc&) {
  }
}

void Lingerers::start(UniqueFd fd, const StreamOptions& options) {
  Queue one;
  one.push_back(std::make_unique<Lingerer>(*this, std::move(fd), options));
  Lingerer& added = *one.front();
  Queue& queue = queues_[&options];
  queue.splice(queue.end(), one);  // nothing throws from here on
  ++size_;
  added.place = std::prev(queue.end());
  if (!added.start(options.linger_time)) return end(added);
  if (size_ > kLeast) keep_to_share();
}

// Resets the oldest socket of the largest group if all groups together hold more than the share.
void Lingerers::keep_to_share() noexcept {
  if (size_ <= share_of_descriptors()) return;
  const auto longest = std::max_element(
      queues_.begin(), queues_.end(),
      [](const auto& a, const auto& b) { return a.second.size() < b.second.size(); });
  reset_front(longest->second);
}

std::size_t Lingerers::size(const StreamOptions& group) const noexcept {
  const auto found = queues_.find(&group);
  return found == queues_.end() ? 0 : found->second.size();
}

void Lingerers::reset_oldest(const StreamOptions& group) noexcept {
  reset_front(queues_.find(&group)->second);
}

void Lingerers::reset_front(Queue& queue) noexcept {
  Lingerer& oldest = *queue.front();
  oldest.reset();
  end(oldest);
}

void Lingerers::end(Lingerer& lingerer) noexcept {
  lingerer.stop();
  --size_;
  const auto found = queues_.find(lingerer.group);
  found->second.erase(lingerer.place);
  if (found->second.empty()) queues_.erase(found);
}

}  // namespace reactor
