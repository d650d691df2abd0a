// SPDX-License-Identifier: MIT
// Feeds everything that a worker can send after a client has taken it over: notices to its master,
// messages with descriptors to a sibling's mailbox, and numbers on the shared scoreboard. The input
// serves as each of these.
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/internal/descriptors.h"
#include "reactor/base/log.h"
#include "reactor/net/fd_passing.h"
#include "reactor/prefork/internal/siblings/siblings.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace reactor;
using namespace reactor::prefork;
using fuzz::demand;
using Bytes = std::span<const std::byte>;

constexpr int kTurns = 4;
constexpr std::byte kVersion{1};  // of a message in a mailbox

void ignore_log(void*, LogLevel, std::string_view) noexcept {}

// ---- To the master ----

// The master hears each Notice once and in order. Any other byte breaks the rules.
void send_notices(Bytes bytes) {
  ControlPair pair = make_control().value();
  const ssize_t count = ::write(pair.worker.notices_fd(), bytes.data(), bytes.size());
  std::uint8_t next = 1;
  for (ssize_t i = 0; i < count; ++i) {
    const auto byte = static_cast<std::uint8_t>(bytes[static_cast<std::size_t>(i)]);
    const Control::Heard heard = pair.master.hear();
    if (byte != next || next > 2) {
      demand(heard == Control::Heard::broken_rules, "another byte breaks the rules");
      return;
    }
    demand(heard == (next == 1 ? Control::Heard::ready : Control::Heard::renew), "a notice");
    ++next;
  }
  demand(pair.master.hear() == Control::Heard::nothing, "there is no more than was sent");
}

// ---- To a sibling ----

// Accepts every connection that is handed over.
class Sink final : public Service {
 public:
  void drain(Callback<void()> done) override { done_ = std::move(done); }
  void hand_over(HandOverTarget& next, Callback<void()> done) override {
    successor = &next;
    done_ = std::move(done);
  }
  void offer_again() override {}
  Result<> adopt_connection(Socket connection, std::span<const std::byte> state) override {
    demand(connection.fd() >= 0 && state.size() <= Mailboxes::kMaxState, "a connection, a state");
    ++taken;
    return {};
  }
  void share_listeners() override {}
  Result<> borrow(int) override { return {}; }
  void give_back(int) noexcept override {}
  void set_placement(Callback<bool(const Socket&)> placement) override {
    keep = std::move(placement);
  }
  void set_counter(Counter& connections) noexcept override { connections.set(1); }
  void set_on_room(Callback<void()>) override {}
  void set_limit(std::uint64_t, Callback<void()>) override {}
  [[nodiscard]] std::size_t connections() const noexcept override { return 1; }
  [[nodiscard]] std::size_t most_connections() const noexcept override { return 1000; }
  [[nodiscard]] std::uint64_t accepted() const noexcept override { return 0; }

  Callback<bool(const Socket&)> keep;
  HandOverTarget* successor = nullptr;
  int taken = 0;

 private:
  Callback<void()> done_;
};

std::pair<UniqueFd, UniqueFd> pair_of(int type) {
  std::array<int, 2> ends{};
  demand(::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()) == 0, "a pair");
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// The code under test serves slot 0. The worker of slot 1 was taken over by a client.
class Scene {
 public:
  explicit Scene(std::string_view text) : draw_(text), bytes_(std::as_bytes(std::span(text))) {
    demand(!mailboxes_.grow(2), "mailboxes");
    const std::uint32_t own = scoreboard_->take_seat();
    evil_ = &scoreboard_->seat(scoreboard_->take_seat());
    scoreboard_->set_occupant(0, own);
    siblings_ = std::make_unique<Siblings>(loop_, *scoreboard_, slots_, mailboxes_, 0, own);
    siblings_->serve(service_, true);
  }

  void play() {
    int expected = 0;
    std::size_t begin = 0;
    std::vector<std::size_t> ends = draw_.cuts(bytes_.size(), 6);
    ends.push_back(bytes_.size());
    for (const std::size_t end : ends) {
      const Bytes piece = bytes_.subspan(begin, end - begin);
      if (send(piece)) ++expected;
      scribble(piece);
      begin = end;
    }
    act();
    // On a slow machine the worker of slot 1 looks stuck. Then connections that were sent to it
    // come here, too.
    demand(service_.taken >= expected && service_.taken <= expected + sent_on_,
           "each connection is taken, and nothing else");
    siblings_->hand_over(1, [] {});
    static_cast<void>(service_.successor->send(stream_.first.get(), bytes_.first(begin / 2)));
    act();
  }

 private:
  // Returns whether the message holds a connection that the sibling must take.
  bool send(Bytes piece) {
    const std::array<int, 4> kinds{-1, stream_.first.get(), datagrams_.first.get(), STDERR_FILENO};
    const int descriptor = kinds[draw_.below(kinds.size())];
    const IoResult sent = send_with_descriptor(mailboxes_.into(0), piece, descriptor);
    const bool letter = !piece.empty() && piece.front() == kVersion &&
                        piece.size() <= Mailboxes::kMaxState + 1 &&
                        descriptor == stream_.first.get();
    return sent.ok() && letter;
  }
  void scribble(Bytes piece) {
    std::array<std::uint64_t, 5> numbers{};
    std::memcpy(numbers.data(), piece.data(), std::min(sizeof numbers, piece.size()));
    evil_->connections.set(numbers[0]);
    evil_->capacity.set(numbers[1]);
    evil_->accepts.store(static_cast<std::uint32_t>(numbers[2]));
    scoreboard_->coming(static_cast<unsigned>(draw_.below(2)))
        .store(static_cast<std::int32_t>(numbers[3]));
    scoreboard_->set_occupant(1, static_cast<std::uint32_t>(numbers[4]));
    demand(scoreboard_->occupant(1) == nullptr ||
               scoreboard_->load(1) >= scoreboard_->occupant(1)->connections.get(),
           "a load is no less than the connections");
  }
  void act() {
    const Socket connection(std::move(pair_of(SOCK_STREAM).first));
    for (int turn = 0; turn < kTurns; ++turn) {
      loop_.poll().value();
      siblings_->beat();
      if (service_.keep && !service_.keep(connection)) ++sent_on_;
    }
  }

  fuzz::Draw draw_;
  Bytes bytes_;
  std::pair<UniqueFd, UniqueFd> stream_ = pair_of(SOCK_STREAM), datagrams_ = pair_of(SOCK_DGRAM);
  Loop loop_{{.slow_callback = Duration::zero()}};
  std::unique_ptr<Scoreboard> scoreboard_ = Scoreboard::make().value();
  ListenerTable slots_;
  Mailboxes mailboxes_;
  Sink service_;
  Seat* evil_ = nullptr;
  int sent_on_ = 0;
  std::unique_ptr<Siblings> siblings_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  set_log_sink(ignore_log, nullptr);
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const int lowest = lowest_free_descriptor(STDERR_FILENO);
  send_notices(std::as_bytes(std::span(text)));
  Scene(text).play();
  demand(lowest_free_descriptor(STDERR_FILENO) == lowest, "no descriptor is left open");
  return 0;
}
