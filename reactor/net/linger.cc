// SPDX-License-Identifier: MIT
#include "reactor/net/linger.h"

#include "reactor/net/socket.h"

namespace reactor {

class Lingerers::Lingerer final : public PollTarget, public TimerNode {
 public:
  Lingerer(Lingerers& owner, UniqueFd fd, std::size_t octets)
      : PollTarget(fd.get()), owner_(owner), fd_(std::move(fd)), octets_left_(octets) {}

  bool start(Duration time) {
    Loop& loop = owner_.loop_;
    if (!Socket::shutdown_write(fd_.get())) return false;  // nothing can be lost any more
    if (!loop.attach(*this, Interest::read)) return false;
    loop.arm(*this, saturating_add(loop.now(), time));
    return true;
  }

  void stop() noexcept {
    owner_.loop_.detach(*this, Detach::closing);
    owner_.loop_.disarm(*this);
  }

  void on_ready(Ready) override {
    const IoResult result = Socket::receive(fd_.get(), owner_.loop_.scratch());
    if (result.would_block()) return;
    if (result.ok() && result.count() < octets_left_) {
      octets_left_ -= result.count();
      return;
    }
    owner_.end(*this);
  }

  void on_expire() override { owner_.end(*this); }

  [[nodiscard]] HandleInfo describe() const noexcept override {
    return {"lingering", PollTarget::fd(), {}, {}};
  }

  std::list<std::unique_ptr<Lingerer>>::iterator place;

 private:
  Lingerers& owner_;
  UniqueFd fd_;
  std::size_t octets_left_;
};

Lingerers::Lingerers(Loop& loop) : loop_(loop) {}

Lingerers::~Lingerers() {
  for (const auto& lingerer : lingering_) lingerer->stop();
}

void Lingerers::add(UniqueFd fd, Duration time, std::size_t octets) {
  auto lingerer = std::make_unique<Lingerer>(*this, std::move(fd), octets);
  Lingerer& added = *lingerer;
  lingering_.push_front(std::move(lingerer));
  added.place = lingering_.begin();
  if (!added.start(time)) end(added);
}

void Lingerers::end(Lingerer& lingerer) noexcept {
  lingerer.stop();
  lingering_.erase(lingerer.place);
}

}  // namespace reactor
