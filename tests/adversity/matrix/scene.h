// SPDX-License-Identifier: MIT
// Scene: a loop with all objects of a cell. These are the subject, whose callback acts, its
// sibling, and a server with a connection beside them. play() makes the callback come, lets the
// action happen, and checks how each object ends.
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

// The exception of the action "throw".
struct Raised {};

// A successor that refuses every connection.
struct Nobody final : HandOverTarget {
  HandOverReply send(int, std::span<const std::byte>) noexcept override {
    return HandOverReply::never;
  }
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
  // Makes `fd` the far end of `connection`, over TLS if that is the carrier and `secured` is true.
  void join(Connection& connection, UniqueFd fd, bool secured = true);
  // The transport of a stream of this side; null for plain bytes.
  [[nodiscard]] std::unique_ptr<Transport> transport();
  // The limits of a server that takes connections over the cell's carrier.
  [[nodiscard]] ServerLimits limits() const;
  // The first bytes of a client: the PROXY header, or nothing.
  [[nodiscard]] std::string_view greeting() const;
  // Connects a client to server(), which has not accepted it yet.
  Connection& knock();
  // The same without a Connection. Returns only the client's descriptor.
  [[nodiscard]] UniqueFd knock_unknown();
  // The connection for the next Side that the server makes.
  Connection& next_accepted();
  void expect(Connection& connection) { knocking_.push_back(&connection); }
  // Called for each callback; `who` is the address of its Connection or Role. If it is the cell's
  // own callback, the action follows.
  void reach(std::string_view call, const void* who);
  void reach(Role role);
  void replaced() { ++replaced_; }
  // Whether this is the cell's callback, and it has not come yet.
  [[nodiscard]] bool waits_for(std::string_view call, const void* who) const;
  [[nodiscard]] bool acted() const { return acted_; }
  // Sets the call that the constructor of the server's next Side makes.
  void when_made(Callback<void()> call) { made_ = std::move(call); }
  void made() {
    if (made_) std::exchange(made_, {})();
  }
  // Sets the call that the next report of a slow callback makes.
  void when_slow(Role role, Callback<void()> call) {
    slow_[static_cast<std::size_t>(role)] = std::move(call);
  }

  // Runs turns of the loop until `done()`. Returns false after kLimit.
  template <class Done>
  bool until(Done done) {
    const TimePoint end = monotonic_now() + kLimit;
    for (int turns = 0; !done(); ++turns) {
      if (monotonic_now() > end) return false;
      turn(turns < 4 ? Duration::zero() : std::chrono::milliseconds(1));
    }
    return true;
  }
  // Runs `step` and counts the exception that it throws.
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
  // The connection to act upon; null if it has ended.
  [[nodiscard]] Connection* target();
  [[nodiscard]] Subject* subject() { return subject_.get(); }
  [[nodiscard]] Service* service();
  void destroy_owner() { subject_.reset(); }
  void destroy_sibling();
  void destroy_server();
  // The callback that is passed to drain() and hand_over().
  [[nodiscard]] Callback<void()> on_drained();
  [[nodiscard]] Nobody& nobody() { return nobody_; }
  void post();

 private:
  friend class Checks;

  static constexpr Duration kLimit = std::chrono::seconds(60);

  // Whether the subject is a connection.
  [[nodiscard]] bool subject_kind_is_stream() const {
    return cell_.kind() == "bare" || cell_.kind() == "served";
  }
  // Whether actions on a server use server_, and not a server of the subject's own.
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
  Callback<void()> made_;
  std::array<Callback<void()>, 2> slow_;
  std::deque<Connection> connections_;  // declared before the loop, because handlers outlive it
  Loop loop_;
  std::deque<Connection*> knocking_;  // not accepted yet
  std::unique_ptr<NeighbourServer> server_;
  Connection* neighbour_ = nullptr;  // of server_; null if the subject is a connection
  std::unique_ptr<Subject> subject_, sibling_;
  Connection* own_ = nullptr;  // the subject's connection, kept after its end
  Deferred later_;
  bool armed_ = false;  // the callback has not come yet
  bool playing_ = false, acted_ = false;
  bool sibling_destroyed_ = false;
  int calls_ = 0, sibling_calls_ = 0, replaced_ = 0;
  int thrown_ = 0, stopped_ = 0, posted_ = 0, drained_ = 0;
};

}  // namespace reactor::adversity
