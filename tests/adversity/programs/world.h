// SPDX-License-Identifier: MIT
// What a program works on: a loop, and actors of each kind, each with a model of what it is owed.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "reactor/loop/loop.h"
#include "tests/adversity/programs/program.h"
#include "tests/adversity/programs/rules.h"

namespace reactor::programs {

// What a program throws out of a callback, and out of a coroutine: that leaves run() later.
struct Thrown {};
struct ThrownByTask {};

class World;
using Queue = std::deque<Operation>;

// Something that operations are applied to. It lives as long as the world; what it has of the
// library is made, ended and made anew.
class Actor {
 public:
  explicit Actor(World& world) noexcept : world_(world) {}
  Actor(const Actor&) = delete;
  Actor& operator=(const Actor&) = delete;
  virtual ~Actor() = default;

  virtual void apply(const Operation& operation) = 0;
  // When the program is over: lifts what holds anything up.
  virtual void relax() {}
  // Whether something is owed that has not come yet.
  [[nodiscard]] virtual bool waits() const { return false; }
  // Before the end of a program: lets go of whatever keeps the loop running, politely.
  virtual void end() = 0;
  // All that was owed has come by then.
  virtual void check() = 0;
  // Looked at between turns.
  virtual void check_now() {}

  // Done inside this actor's next callback.
  void later(const Operation& operation) { waiting_.push_back(operation); }
  [[nodiscard]] Queue& waiting() noexcept { return waiting_; }

 protected:
  [[nodiscard]] World& world() const noexcept { return world_; }
  [[nodiscard]] Loop& loop() const noexcept;

 private:
  World& world_;
  Queue waiting_;
};

// On the stack of each callback: its last act are operations that waited for it.
class Callback {
 public:
  enum class Kind : std::uint8_t { may_throw, is_noexcept, task };

  explicit Callback(World& world, Kind kind = Kind::may_throw) noexcept;
  explicit Callback(Actor& actor, World& world, Kind kind = Kind::may_throw) noexcept;
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  ~Callback();
  // The actor's, then anybody's. What is on the stack may be gone afterwards.
  void finish();

 private:
  void run(Queue& waiting);
  void apply(const Operation& operation);

  World& world_;
  Actor* const actor_ = nullptr;
  const Kind kind_;
};

using Actors = std::vector<std::unique_ptr<Actor>>;

class World {
 public:
  // The loop ends before what was made with it, or after.
  enum class End : std::uint8_t { actors_first, loop_first };

  // `patience`: how long the loop may turn, at the end, until all that is owed has come.
  World(Backend backend, Duration patience);
  ~World();
  World(const World&) = delete;
  World& operator=(const World&) = delete;

  void run(const Program& program, End end);
  void apply(const Operation& operation);
  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }
  [[nodiscard]] std::uint64_t turns() const noexcept { return turns_; }

  Queue anywhere;        // done inside the next callback
  int callbacks = 0;     // of ours on the stack
  int noexcepts = 0;     // of these, those that nothing may leave
  int tasks = 0;         // and those of coroutines
  int task_throws = 0;   // exceptions of coroutines that are to leave run() yet
  int calls = 0;         // of a Stream, in which no callback may run
  int throwing = 0;      // exceptions that are on their way out of run()
  int handlers = 0;      // of servers, alive
  int frames = 0;        // of coroutines, alive
  bool in_turn = false;  // else a callback was called by what we called, and may not throw
  bool over = false;     // the program is; the rest is done politely

 private:
  [[nodiscard]] Actors& actors_for(Action action);
  void turn(Duration limit);
  void post(std::uint32_t count);
  void settle();
  template <class Done>
  void turn_until(Rule rule, std::string_view what, Done done);

  const Duration patience_;
  std::unique_ptr<Loop> loop_;
  std::uint64_t turns_ = 0;
  std::uint64_t posted_ = 0, ran_ = 0;
  std::array<Actors, 6> kinds_;
};

[[nodiscard]] Actors make_timers(World& world);
[[nodiscard]] Actors make_handles(World& world);
[[nodiscard]] Actors make_wires(World& world);
[[nodiscard]] Actors make_servers(World& world);
[[nodiscard]] Actors make_datagrams(World& world);
[[nodiscard]] Actors make_coroutines(World& world);

// The byte at a place of what is sent, so that each place can be told from its neighbours.
[[nodiscard]] constexpr std::byte byte_at(std::uint64_t place) noexcept {
  return static_cast<std::byte>((place * 0x9e3779b97f4a7c15ULL) >> 56);
}
[[nodiscard]] std::vector<std::byte> bytes_from(std::uint64_t place, std::size_t count);
// Whether `bytes` are those from `place` on.
[[nodiscard]] bool are_bytes_from(std::uint64_t place, std::span<const std::byte> bytes) noexcept;

}  // namespace reactor::programs
