// SPDX-License-Identifier: MIT
// These are the steps of a hand-over, in the order of the picture in hand_over.h.
#include "reactor/net/hand_over.h"

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>
#include <vector>

#include "reactor/base/internal/check.h"
#include "reactor/net/connection_set.h"
#include "reactor/net/internal/hand_over_message.h"
#include "reactor/net/server.h"
#include "reactor/net/stream/internal/stream_inside.h"

namespace reactor {
namespace {

// The time between two offers of all connections. It doubles with each offer, from kFirstOffer up
// to kLastOffer.
constexpr Duration kFirstOffer = std::chrono::milliseconds(10);
constexpr Duration kLastOffer = std::chrono::milliseconds(640);
// After this time a connection that was never idle is asked to finish.
constexpr Duration kPatience = std::chrono::seconds(2);

// Sends the connection. Adds to the handler's state everything else that the other process needs.
class MessageSender final : public HandOverTarget {
 public:
  MessageSender(HandOverTarget& target, const Stream& stream, HandledBy handled_by)
      : target_(target), stream_(stream), handled_by_(handled_by) {}

  HandOverReply send(int fd, std::span<const std::byte> state) noexcept override {
    try {
      return target_.send(fd, HandOverMessage::encode(stream_.announced(), handled_by_, state));
    } catch (const std::bad_alloc&) {
      return HandOverReply::never;
    }
  }

 private:
  HandOverTarget& target_;
  const Stream& stream_;
  HandledBy handled_by_;
};

}  // namespace

// ---- The process that ends ----

void ServerBase::hand_over(HandOverTarget& target, Callback<void()> done) {
  const bool first = !draining_;
  begin_end(std::move(done));
  if (!first) return;
  target_ = &target;
  next_offer_ = kFirstOffer;
  patience_ = saturating_add(loop_.start_time(), kPatience);
  doors_.start(Duration::zero());
  loans_.clear();
  leave_listeners();
}

// Closes the listeners without emptying their queues, because the other process accepts those
// connections. Before it closes a listener that is shared and not balanced, it accepts one batch,
// because the event of a queued connection may have woken only this process. Handlers of accepted
// connections may throw and destroy the server.
void ServerBase::leave_listeners() {
  const Lifetime::Watch server(lifetime_);
  while (!listeners_.empty()) {
    const std::unique_ptr<Listener> listener = std::move(listeners_.back());
    listeners_.pop_back();
    if (!shared_ || Socket::is_balanced(listener->fd())) continue;
    static_cast<void>(listener->resume());
    listener->accept_now();
    if (server.over()) return;
  }
  note_end();
}

// Makes the loop offer the connections, because no connection may end inside another one's
// callback.
void ServerBase::offer_again() {
  if (target_ != nullptr) doors_.start(Duration::zero());
}

void ServerBase::on_stream_idle(Stream&) noexcept { offer_again(); }

// Offers all connections, and sets the timer that calls this again, because a connection may become
// idle at any moment. After kPatience, also asks the remaining connections to finish, but not while
// the target has no room. The timer is set first, because handlers may throw.
void ServerBase::offer_all() {
  // A handler may call drain(), which ends the offers. The target may be gone after that, so each
  // use looks whether it is still set. `busy` ends the round.
  struct Round final : HandOverTarget {
    explicit Round(ServerBase& owner) : server(owner) {}
    HandOverReply send(int fd, std::span<const std::byte> message) noexcept override {
      if (server.target_ == nullptr) return HandOverReply::busy;
      return server.target_->send(fd, message);
    }
    ServerBase& server;
  } round(*this);
  const Lifetime::Watch server(lifetime_);
  doors_.start(next_offer_);
  next_offer_ = std::min(next_offer_ * 2, kLastOffer);
  leave_listeners();
  if (server.over() || target_ == nullptr) return;
  const bool room = connections_.offer_all(round);
  if (server.over() || target_ == nullptr) return;
  if (count_ == 0) {
    doors_.stop();
  } else if (room && loop_.now() >= patience_) {
    ask_all_to_end();
  }
}

bool ConnectionSet::offer_all(HandOverTarget&) {
  ask_all_to_end();
  return true;
}

bool ConnectionSet::offer(HandOverTarget& target, Stream& stream, HandledBy handled_by) {
  if (handled_by == HandledBy::other && !adopts_upgraded()) {
    ask_to_end(stream);
    return true;
  }
  MessageSender sender(target, stream, handled_by);
  const Stream::Offer result = stream.offer_to(sender);
  if (result == Stream::Offer::never) ask_to_end(stream);
  return result != Stream::Offer::no_room;
}

Stream::Offer Stream::offer_to(HandOverTarget& target) {
  REACTOR_CHECK(!context_->in_callback());
  constexpr unsigned kNotIdle = kClosing | kPeerEnded | kShutdown | kQueued | kAskedToEnd;
  if (transport() != nullptr) return Offer::never;
  if (has(kNotIdle) || !has(kStarted)) return Offer::not_idle;
  std::vector<std::byte> state;
  HandOver wish = HandOver::no;
  const auto ask = [&] { wish = handler_->on_hand_over(*this, state); };
  // The callback may destroy the Stream, write, or close: kNotIdle is checked again below.
  if (call(ask) == Alive::no) return Offer::done;
  if (wish == HandOver::no) return Offer::never;
  if (wish == HandOver::later || has(kNotIdle)) return Offer::not_idle;
  HandOverReply reply = HandOverReply::never;
  const auto send = [&] { reply = target.send(fd(), state); };
  if (call(send) == Alive::no) return Offer::done;  // the target ended it
  if (reply == HandOverReply::busy) return Offer::no_room;
  if (reply == HandOverReply::never) return Offer::never;
  if (has(kClosed)) return Offer::done;
  // The other process has a copy of the descriptor, so closing ours would not remove the connection
  // from the poller. This call removes it.
  loop().detach(*this, Detach::staying);
  set(kClosing);
  finish();
  return Offer::done;
}

// ---- The process that continues ----

Result<> ServerBase::adopt_connection(Socket connection, std::span<const std::byte> message) {
  if (!connection) return std::make_error_code(std::errc::bad_file_descriptor);
  if (message.empty()) {
    count_up();
    offer_again();
    admit(std::move(connection), where_);
    return {};
  }
  const Result<HandOverMessage> decoded = HandOverMessage::decode(message);
  if (!decoded) return decoded.error();
  if (decoded->handled_by == HandledBy::other && !connections_.adopts_upgraded()) {
    return Errc::not_supported;
  }
  count_up();
  offer_again();
  start_connection(std::move(connection), where_,
                   {.addresses = decoded->addresses ? &*decoded->addresses : nullptr,
                    .state = &decoded->state,
                    .handled_by = decoded->handled_by});
  return {};
}

}  // namespace reactor
