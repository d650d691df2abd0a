// SPDX-License-Identifier: MIT
// Scene: a loop with all that a cell needs: the object whose callback acts, its sibling, and a
// server with a connection beside them. play() makes the callback come, lets the action happen, and
// checks everyone's end.
#pragma once

#include <deque>
#include <memory>
#include <string_view>

#include "reactor/net/server.h"
#include "tests/adversity/matrix/cell.h"
#include "tests/adversity/matrix/connection.h"
#include "tests/adversity/matrix/expected.h"
#include "tests/adversity/matrix/subject.h"
#include "tests/support/run.h"

namespace reactor::adversity {

// What the action "throw" throws.
struct Raised {};

// Takes nobody.
struct Nobody final : Successor {
  Answer take(int, std::span<const std::byte>) noexcept override { return Answer::never; }
};

class Scene {
 public:
  using NeighbourServer = Server<Side>;

  Scene(const Cell& cell, const Kind& kind);
  Scene(const Scene&) = delete;
  Scene& operator=(const Scene&) = delete;
  ~Scene();

  void play();

  // ---- For subjects ----
  [[nodiscard]] const Cell& cell() const { return cell_; }
  [[nodiscard]] Loop& loop() { return loop_; }
  [[nodiscard]] const StreamOptions& settings() const { return settings_; }
  [[nodiscard]] NeighbourServer* server() { return server_.get(); }
  [[nodiscard]] std::deque<Connection>& connections() { return connections_; }
  Connection& new_connection() { return connections_.emplace_back(); }
  // Joins `connection` to `fd`, over TLS if the carrier is that and `secured`.
  void join(Connection& connection, UniqueFd fd, bool secured = true);
  // The transport of a stream of this side; null for plain bytes.
  [[nodiscard]] std::unique_ptr<Transport> transport();
  // How a server takes the carrier's connections.
  [[nodiscard]] ServerLimits limits() const;
  // What a client says first: the PROXY header, or nothing.
  [[nodiscard]] std::string_view greeting() const;
  // A client of server(), not yet accepted.
  Connection& knock();
  // The same for nobody's sake: only its descriptor.
  [[nodiscard]] UniqueFd knock_unknown();
  // The next one that the server makes a Side for.
  Connection& next_accepted();
  void expect(Connection& connection) { knocking_.push_back(&connection); }
  // A callback came: `who` is a Connection or a Role's address; the cell's own one acts.
  void reach(std::string_view call, const void* who);
  void reach(Role role);
  void replaced() { ++replaced_; }
  // Whether the cell's callback is this one, and it is still to come.
  [[nodiscard]] bool waits_for(std::string_view call, const void* who) const;
  [[nodiscard]] bool acted() const { return acted_; }
  // For the next report of a slow callback.
  void when_slow(Role role, Callback<void()> call) {
    slow_[static_cast<std::size_t>(role)] = std::move(call);
  }

  // Turns of the loop until `done()`; false after kLimit.
  template <class Done>
  bool until(Done done) {
    const TimePoint end = monotonic_now() + kLimit;
    for (int turns = 0; !done(); ++turns) {
      if (monotonic_now() > end) return false;
      turn(turns < 4 ? Duration::zero() : std::chrono::milliseconds(1));
    }
    return true;
  }
  // Runs `step`; what it throws is counted.
  template <class Step>
  void attempt(Step step) {
    try {
      step();
    } catch (const Raised&) {
      ++thrown_;
    } catch (const std::exception& problem) {
      ADD_FAILURE() << problem.what();
    }
  }

  // ---- For actions ----
  // The connection to act upon; null if it is over.
  [[nodiscard]] Connection* target();
  [[nodiscard]] Subject* subject() { return subject_.get(); }
  [[nodiscard]] Service* service();
  void destroy_owner() { subject_.reset(); }
  void destroy_sibling();
  void destroy_server();
  // What drain() and hand_over() call.
  [[nodiscard]] Callback<void()> on_drained();
  [[nodiscard]] Nobody& nobody() { return nobody_; }
  void post();

 private:
  friend class Checks;

  static constexpr Duration kLimit = std::chrono::seconds(5);

  // The subject is a connection.
  [[nodiscard]] bool subject_kind_is_stream() const {
    return cell_.kind() == "bare" || cell_.kind() == "served";
  }
  // What happens to a server happens to server_, and not to one of the subject's own.
  bool acts_on_server_ = true;

  void listen();
  void turn(Duration wait);
  void run_until_stopped();
  void read_far_sides();
  void leave_or_act();
  void act();
  void leave();
  void report_slow();

  const Cell cell_;
  const Kind& kind_;
  const Expected expected_;
  Nobody nobody_;
  StreamOptions settings_;
  std::array<Callback<void()>, 2> slow_;
  std::deque<Connection> connections_;  // before the loop: handlers outlive it
  Loop loop_;
  std::deque<Connection*> knocking_;  // not accepted yet
  std::unique_ptr<NeighbourServer> server_;
  Connection* neighbour_ = nullptr;  // of server_, if the subject is no connection
  std::unique_ptr<Subject> subject_, sibling_;
  Connection* own_ = nullptr;  // the subject's, also after its end
  Deferred later_;
  bool armed_ = false;  // the callback is to come
  bool playing_ = false, acted_ = false;
  bool sibling_destroyed_ = false;
  int calls_ = 0, sibling_calls_ = 0, replaced_ = 0;
  int thrown_ = 0, stopped_ = 0, posted_ = 0, drained_ = 0;
};

}  // namespace reactor::adversity
