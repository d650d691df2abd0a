// SPDX-License-Identifier: MIT
#include "tests/adversity/programs/world.h"

#include <utility>

#include "tests/support/run.h"

namespace reactor::programs {

// ---- Actor ----

Actor::Callback::Callback(Actor& actor) noexcept : actor_(actor) { ++actor_.world_.callbacks; }
Actor::Callback::~Callback() { --actor_.world_.callbacks; }

void Actor::Callback::finish(bool may_throw) {
  if (actor_.waiting_.empty() || actor_.world_.over) return;
  const Operation operation = actor_.waiting_.front();
  actor_.waiting_.pop_front();
  if (operation.action != Action::throws) {
    Operation now = operation;
    now.moment = Moment::now;
    actor_.world_.apply(now);
  } else if (may_throw && actor_.world_.in_turn) {
    ++actor_.world_.throwing;
    throw Thrown{};
  }
}

Loop& Actor::loop() const noexcept { return world_.loop(); }

// ---- World ----

World::World(Backend backend)
    : loop_(std::make_unique<Loop>(
          LoopOptions{.backend = backend, .slow_callback = Duration::zero()})),
      kinds_{make_timers(*this),  make_handles(*this),   make_wires(*this),
             make_servers(*this), make_datagrams(*this), make_coroutines(*this)} {}

World::~World() = default;

void World::run(const Program& program, End end) {
  for (const Operation& operation : program) {
    apply(operation);
    for (const Actors& kind : kinds_) {
      for (const auto& actor : kind) actor->check_now();
    }
  }
  if (end == End::loop_first) {
    over = true;
    loop_.reset();
  } else {
    settle();
  }
  for (Actors& kind : kinds_) kind.clear();
  require(handlers == 0, Rule::objects, "handlers are left when the servers are gone");
  require(frames == 0, Rule::coroutines, "frames are left when all tasks are gone");
  if (loop_ == nullptr) return;
  require(run_to_end(*loop_) && loop_->keeping() == 0, Rule::run_ends);
  loop_.reset();
}

Actors& World::actors_for(Action action) {
  constexpr std::array kLast = {Action::ref_timer,    Action::renew_pipe,     Action::throws,
                                Action::renew_server, Action::renew_datagram, Action::cancel};
  std::size_t kind = 0;
  while (action > kLast[kind]) ++kind;
  return kinds_[kind];
}

void World::apply(const Operation& operation) {
  const bool inside = callbacks > 0;
  switch (operation.action) {
    case Action::poll:
      if (!inside) turn(Duration::zero());
      return;
    case Action::wait:
      if (!inside) turn(std::chrono::microseconds(operation.amount % 2000));
      return;
    case Action::stop:
      return loop_->stop();
    case Action::post:
      return post(operation.amount % 4);
    default:
      break;
  }
  Actors& actors = actors_for(operation.action);
  Actor& actor = *actors[operation.actor % actors.size()];
  if (operation.moment == Moment::now) {
    actor.apply(operation);
  } else {
    actor.later(operation);
  }
}

// Only what a callback of ours threw may come out.
void World::turn(Duration limit) {
  ++turns_;
  const int before = std::exchange(throwing, 0);
  in_turn = true;
  try {
    require(loop_->run_once(limit).has_value(), Rule::exception, "run_once() gave an error");
    require(throwing == 0, Rule::exception, "what a callback threw did not leave run()");
  } catch (const Thrown&) {
    require(throwing == 1, Rule::exception, "an exception left run() that nobody threw");
  }
  throwing = before;
  in_turn = false;
  callbacks = 0;
}

void World::post(std::uint32_t count) {
  for (std::uint32_t i = 0; i <= count; ++i) {
    loop_->post([this, number = posted_++] {
      require(number == ran_, Rule::posted);
      ++ran_;
    });
  }
}

// Politely: whatever waits comes to its end, and all that is owed has come.
void World::settle() {
  over = true;
  for (Actors& kind : kinds_) {
    for (const auto& actor : kind) actor->end();
  }
  const TimePoint limit = monotonic_now() + kLimit;
  while (loop_->keeping() > 0 || loop_->next_timeout() == Duration::zero()) {
    require(monotonic_now() < limit, Rule::run_ends, "something keeps the loop though all ended");
    turn(std::chrono::milliseconds(5));
  }
  require(ran_ == posted_, Rule::posted);
  for (Actors& kind : kinds_) {
    for (const auto& actor : kind) actor->check();
  }
}

std::vector<std::byte> bytes_from(std::uint64_t place, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = byte_at(place++);
  return bytes;
}

bool are_bytes_from(std::uint64_t place, std::span<const std::byte> bytes) noexcept {
  for (const std::byte byte : bytes) {
    if (byte != byte_at(place++)) return false;
  }
  return true;
}

}  // namespace reactor::programs
