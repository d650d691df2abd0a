// SPDX-License-Identifier: MIT
#include "tests/adversity/programs/program.h"

namespace reactor::programs {
namespace {

constexpr std::array<std::string_view, kActions> kNames = {"poll",
                                                           "wait",
                                                           "stop",
                                                           "post",
                                                           "schedule",
                                                           "stop_deferred",
                                                           "raise",
                                                           "start_timer",
                                                           "start_every",
                                                           "stop_timer",
                                                           "renew_timer",
                                                           "unref_timer",
                                                           "ref_timer",
                                                           "fill_pipe",
                                                           "read_pipe",
                                                           "ignore_pipe",
                                                           "stop_watcher",
                                                           "renew_pipe",
                                                           "lend",
                                                           "write",
                                                           "write_now",
                                                           "write_room",
                                                           "send_file",
                                                           "shutdown",
                                                           "close",
                                                           "close_lingering",
                                                           "fail",
                                                           "abort",
                                                           "pause",
                                                           "resume",
                                                           "destroy",
                                                           "detach",
                                                           "renew_wire",
                                                           "idle_timeout",
                                                           "read_timeout",
                                                           "total_deadline",
                                                           "rates",
                                                           "count",
                                                           "throws",
                                                           "connect",
                                                           "talk",
                                                           "hang_up",
                                                           "drain",
                                                           "renew_server",
                                                           "send",
                                                           "pause_datagrams",
                                                           "resume_datagrams",
                                                           "renew_datagram",
                                                           "spawn_sleep",
                                                           "spawn_push",
                                                           "spawn_pop",
                                                           "spawn_timeout",
                                                           "spawn_talk",
                                                           "spawn_throw",
                                                           "cancel"};

// splitmix64 (Steele, Lea, Flood 2014): any seed is a good one.
class Random {
 public:
  explicit Random(std::uint64_t seed) noexcept : state_(seed) {}
  std::uint64_t next() noexcept {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15ULL;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
    return z ^ z >> 31;
  }
  unsigned below(unsigned limit) noexcept { return static_cast<unsigned>(next() % limit); }

 private:
  std::uint64_t state_;
};

// Most are small; some are more than any buffer holds.
std::uint32_t amount(Random& random) noexcept {
  const unsigned bits = random.below(8) == 0 ? random.below(20) : random.below(12);
  return random.below(1U << bits) + 1;
}

}  // namespace

std::string_view name_of(Action action) noexcept { return kNames[static_cast<unsigned>(action)]; }

// Each program has some favourites, so that one actor gets into more states than it would else; and
// turns are frequent in all.
Program make_program(std::uint64_t seed, std::size_t steps) {
  Random random(seed);
  std::array<Action, 6> favourites;
  for (Action& favourite : favourites) favourite = static_cast<Action>(random.below(kActions));
  const unsigned actors = 1 + random.below(4);
  Program program;
  for (std::size_t i = 0; i < steps; ++i) {
    auto action = static_cast<Action>(random.below(kActions));
    const unsigned kind = random.below(8);
    if (kind < 3) action = favourites[random.below(favourites.size())];
    if (kind == 3) action = Action::poll;
    auto moment = static_cast<Moment>(random.below(static_cast<unsigned>(Moment::count_)));
    if (action == Action::throws && moment == Moment::now) moment = Moment::in_any_callback;
    program.push_back(
        {action, moment, static_cast<std::uint8_t>(random.below(actors)), amount(random)});
  }
  return program;
}

}  // namespace reactor::programs
