// SPDX-License-Identifier: MIT
#include "tests/adversity/matrix/actions.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>

#include "reactor/base/error.h"
#include "tests/adversity/matrix/scene.h"

namespace reactor::adversity {
namespace {

using std::chrono::milliseconds;

// ---- Upon a connection ----

// Calls `act` with the connection, if it is not over.
template <void (*act)(Connection&)>
void with_target(Scene& scene) {
  if (Connection* const connection = scene.target()) act(*connection);
}

void close(Connection& connection) {
  connection.ends();
  connection.stream->close();
}
void close_lingering(Connection& connection) {
  connection.ends();
  connection.stream->close(true);
}
void write_and_close(Connection& connection) {
  connection.write(big_text());
  close(connection);
}
void close_and_write(Connection& connection) {
  close(connection);
  connection.write("never");
  connection.stream->shutdown();
  connection.stream->resume_reading();
}
void fail(Connection& connection) {
  connection.ends();
  connection.stream->fail(std::make_error_code(std::errc::io_error));
}
void abort(Connection& connection) {
  connection.ends();
  connection.stream->abort();
}
void close_and_fail(Connection& connection) {
  close(connection);
  connection.stream->fail(std::make_error_code(std::errc::io_error));
}
void detach(Connection& connection) {
  Result<Socket> socket = connection.stream->detach();
  if (!socket) return;
  connection.ends();
  connection.detached = std::move(*socket);
}
void shutdown(Connection& connection) { connection.stream->shutdown(); }
void pause(Connection& connection) { connection.stream->pause_reading(); }
void pause_and_resume(Connection& connection) {
  connection.stream->pause_reading();
  connection.stream->resume_reading();
}
void write(Connection& connection) { connection.write("answer"); }
void write_room(Connection& connection) {
  const std::span<std::byte> room = connection.stream->write_room(6);
  std::memcpy(room.data(), "answer", 6);
  if (connection.stream->sends()) connection.sent += "answer";
  connection.stream->wrote(6);
}
void write_much(Connection& connection) { connection.write(big_text()); }
void send_file(Connection& connection) { connection.send_file(); }
void announce(Connection& connection) {
  connection.stream->announce(Address::loopback(1), Address::loopback(2));
}
void set_limits(Connection& connection) { add_extras(*connection.stream); }
void set_deadlines(Connection& connection) {
  Stream& stream = *connection.stream;
  const TimePoint now = stream.loop().now();
  stream.set_idle_timeout(milliseconds(1));
  stream.set_deadline(now);
  stream.set_read_timeout(milliseconds(1));
  stream.set_write_timeout(milliseconds(1));
  stream.set_total_deadline(now);
}
void request_shutdown(Connection& connection) { connection.stream->request_shutdown(); }

// ---- Upon objects ----

void destroy_self(Scene& scene) {
  if (Connection* const connection = scene.subject()->connection()) connection->ends();
  scene.subject()->destroy();
}
void destroy_owner(Scene& scene) {
  if (Connection* const connection = scene.subject()->connection()) connection->ends();
  scene.destroy_owner();
}
void replace(Scene& scene) { scene.subject()->replace(); }

// ---- Upon the server and the loop ----

void drain(Scene& scene) {
  if (Service* const service = scene.service()) service->drain(scene.on_drained());
}
void drain_twice(Scene& scene) {
  if (Service* const service = scene.service()) service->drain([] { ADD_FAILURE(); });
  drain(scene);
}
void hand_over(Scene& scene) {
  if (Service* const service = scene.service()) {
    service->hand_over(scene.nobody(), scene.on_drained());
  }
}
[[noreturn]] void raise(Scene&) { throw Raised(); }
void nested_run(Scene& scene) {
  EXPECT_EQ(scene.loop().run().error(), Errc::nested_run);
  EXPECT_EQ(scene.loop().poll().error(), Errc::nested_run);
}

constexpr std::array kActions = {
    Action{"nothing", [](Scene&) {}},
    Action{"destroy-self", &destroy_self},
    Action{"destroy-owner", &destroy_owner},
    Action{"destroy-sibling", [](Scene& scene) { scene.destroy_sibling(); }},
    Action{"destroy-server", [](Scene& scene) { scene.destroy_server(); }},
    Action{"close", &with_target<&close>},
    Action{"close-lingering", &with_target<&close_lingering>},
    Action{"write-and-close", &with_target<&write_and_close>},
    Action{"close-and-write", &with_target<&close_and_write>},
    Action{"fail", &with_target<&fail>},
    Action{"close-and-fail", &with_target<&close_and_fail>},
    Action{"abort", &with_target<&abort>},
    Action{"detach", &with_target<&detach>},
    Action{"shutdown", &with_target<&shutdown>},
    Action{"pause", &with_target<&pause>},
    Action{"pause-and-resume", &with_target<&pause_and_resume>},
    Action{"write", &with_target<&write>},
    Action{"write-room", &with_target<&write_room>},
    Action{"write-much", &with_target<&write_much>},
    Action{"send-file", &with_target<&send_file>},
    Action{"announce", &with_target<&announce>},
    Action{"set-limits", &with_target<&set_limits>},
    Action{"set-deadlines", &with_target<&set_deadlines>},
    Action{"request-shutdown", &with_target<&request_shutdown>},
    Action{"replace", &replace},
    Action{"drain", &drain},
    Action{"drain-twice", &drain_twice},
    Action{"hand-over", &hand_over},
    Action{"throw", &raise},
    Action{"post", [](Scene& scene) { scene.post(); }},
    Action{"stop", [](Scene& scene) { scene.loop().stop(); }},
    Action{"nested-run", &nested_run},
};

}  // namespace

std::span<const Action> actions() { return kActions; }

const Action* find_action(std::string_view name) {
  const auto found = std::find_if(kActions.begin(), kActions.end(),
                                  [&](const Action& action) { return action.name == name; });
  return found == kActions.end() ? nullptr : &*found;
}

}  // namespace reactor::adversity
