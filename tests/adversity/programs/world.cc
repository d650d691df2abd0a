// SPDX-License-Identifier: MIT
#include "tests/adversity/programs/world.h"

#include <algorithm>
#include <utility>

#include "tests/support/run.h"

namespace reactor::programs {

// ---- Actor ----

Loop& Actor::loop() const noexcept { return world_.loop(); }

// ---- Callback ----

Callback::Callback(World& world, Kind kind) noexcept : world_(world), kind_(kind) {
  ++world_.callbacks;
  world_.noexcepts += kind_ == Kind::is_noexcept;
  world_.tasks += kind_ == Kind::task;
}
Callback::Callback(Actor& actor, World& world, Kind kind) noexcept
    : world_(world), actor_(&actor), kind_(kind) {
  ++world_.callbacks;
  world_.noexcepts += kind_ == Kind::is_noexcept;
  world_.tasks += kind_ == Kind::task;
}
Callback::~Callback() {
  --world_.callbacks;
  world_.noexcepts -= kind_ == Kind::is_noexcept;
  world_.tasks -= kind_ == Kind::task;
}

void Callback::finish() {
  if (world_.over) return;
  try {
    if (actor_ != nullptr) run(actor_->waiting());
    run(world_.anywhere);
  } catch (const Thrown&) {
    if (kind_ != Kind::task) throw;
    --world_.throwing;
    ++world_.task_throws;
    throw ThrownByTask{};
  }
}

// One, and as a rule some more.
void Callback::run(Queue& waiting) {
  while (!waiting.empty()) {
    Operation operation = waiting.front();
    waiting.pop_front();
    operation.moment = Moment::now;
    apply(operation);
    if (operation.amount % 3 == 0) return;
  }
}

void Callback::apply(const Operation& operation) {
  if (operation.action != Action::throws) return world_.apply(operation);
  if (world_.noexcepts > 0 || !world_.in_turn) return;
  ++world_.throwing;
  throw Thrown{};
}

// ---- World ----

World::World(Backend backend, Duration patience)
    : patience_(patience),
      loop_(std::make_unique<Loop>(
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
  if (operation.moment == Moment::in_any_callback) return anywhere.push_back(operation);
  switch (operation.action) {
    case Action::poll:
      if (!inside) turn(Duration::zero());
      return;
    case Action::wait:
      if (!inside) turn(std::chrono::microseconds(operation.amount % 500));
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
  if (operation.moment == Moment::in_its_callback) return actor.later(operation);
  actor.apply(operation);
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
  } catch (const ThrownByTask&) {
    require(throwing == 0 && task_throws-- > 0, Rule::exception, "of a coroutine");
  }
  throwing = before;
  in_turn = false;
}

void World::post(std::uint32_t count) {
  for (std::uint32_t i = 0; i <= count; ++i) {
    loop_->post([this, number = posted_++] {
      Callback callback(*this);
      require(number == ran_, Rule::posted);
      ++ran_;
      callback.finish();
    });
  }
}

// Politely: whatever waits comes to its end, and all that is owed has come.
void World::settle() {
  over = true;
  for (Actors& kind : kinds_) {
    for (const auto& actor : kind) actor->relax();
  }
  turn_until(Rule::whole, "something is owed that does not come", [this] {
    return std::ranges::none_of(kinds_, [](const Actors& kind) {
      return std::ranges::any_of(kind, [](const auto& actor) { return actor->waits(); });
    });
  });
  for (Actors& kind : kinds_) {
    for (const auto& actor : kind) actor->end();
  }
  turn_until(Rule::run_ends, "something keeps the loop though all ended",
             [this] { return loop_->keeping() == 0 && loop_->next_timeout() != Duration::zero(); });
  require(ran_ == posted_, Rule::posted);
  require(task_throws == 0, Rule::exception, "what a coroutine threw did not leave run()");
  for (Actors& kind : kinds_) {
    for (const auto& actor : kind) actor->check();
  }
}

// Time in which the machine did something else does not count.
template <class Done>
void World::turn_until(Rule rule, std::string_view what, Done done) {
  constexpr Duration kTurn = std::chrono::milliseconds(5);
  Duration left = patience_;
  while (!done()) {
    require(left > Duration::zero(), rule, what);
    const TimePoint begin = monotonic_now();
    turn(kTurn);
    left -= std::min(monotonic_now() - begin, kTurn);
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
