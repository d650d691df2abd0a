// SPDX-License-Identifier: MIT
#include "tests/adversity/matrix/checks.h"

#include <gtest/gtest.h>

#include <cerrno>

#include "reactor/base/error.h"
#include "tests/adversity/matrix/table.h"

namespace reactor::adversity {
namespace {

constexpr int kTurns = 3;  // after so many turns every callback on its way has come

// Whether the connection has begun to open but has neither opened nor ended.
bool opening(const Connection& connection) {
  if (!connection.watched) {
    return connection.far->ssl != nullptr && SSL_is_init_finished(connection.far->ssl) == 0;
  }
  return connection.far != nullptr && connection.opens == 0 && connection.closes == 0;
}

void expect_prefix(const Connection& connection) {
  EXPECT_TRUE(connection.sent.starts_with(connection.far->got)) << "the peer got other bytes";
}

}  // namespace

bool Checks::begun() {
  const bool all = scene_.until([this] {
    for (const Connection& connection : scene_.connections_) {
      if (opening(connection)) return false;
    }
    return true;
  });
  EXPECT_TRUE(all) << "not all connections began";
  return all;
}

void Checks::settle() {
  for (int turn = 0; turn < kTurns; ++turn) scene_.turn(Duration::zero());
}

void Checks::ends() {
  loop_end();
  if (scene_.expected_.whose == Whose::server) server_end();
  Connection* const own = scene_.own_;
  Connection* const next = scene_.sibling_ == nullptr ? nullptr : scene_.sibling_->connection();
  for (Connection& connection : scene_.connections_) {
    if (connection.far == nullptr) continue;  // it was never opened
    Whose whose = Whose::nobody;
    if (&connection == own || (own == nullptr && &connection == scene_.neighbour_)) {
      whose = Whose::stream;
    }
    if (&connection == next) whose = Whose::sibling;
    connection_end(connection, end_of(connection, whose));
  }
  subject_end();
  sibling_end();
}

void Checks::loop_end() {
  const End end = scene_.expected_.end;
  if (end == End::thrown) {
    EXPECT_TRUE(scene_.until([this] { return scene_.thrown_ > 0; }));
  }
  if (scene_.cell_.action == "post") {
    EXPECT_TRUE(scene_.until([this] { return scene_.posted_ > 0; }));
    EXPECT_EQ(scene_.posted_, 1);
  }
  EXPECT_EQ(scene_.thrown_, end == End::thrown ? 1 : 0) << "exceptions out of run()";
  EXPECT_EQ(scene_.stopped_, end == End::stopped ? 1 : 0) << "times that run() returned";
}

void Checks::server_end() {
  if (scene_.expected_.end != End::drained) return;
  // The connection was already asked to shut down, and is not asked again.
  Connection* const own = scene_.cell_.callback == "served.shutdown" ? scene_.own_ : nullptr;
  if (own != nullptr && own->stream != nullptr) {
    own->ends();
    own->stream->close();
  }
  EXPECT_TRUE(scene_.until([this] { return scene_.drained_ > 0; })) << "done was not called";
  EXPECT_EQ(scene_.drained_, 1);
  if (scene_.server_ != nullptr && scene_.acts_on_server_) {
    EXPECT_EQ(scene_.server_->connections(), 0U);
    EXPECT_TRUE(scene_.server_->addresses().empty()) << "it listens";
  }
}

// ---- Connections ----

// Whether the neighbour ended before the action.
bool Checks::ended_before() const {
  const std::string_view call = scene_.cell_.call();
  if (scene_.cell_.kind() != "server") return false;
  if (call == "send") return scene_.cell_.when != When::now;
  return call == "drained" || call == "handed_over";
}

// Whether the cell's connection moves to another process, whatever the table says of the action.
bool Checks::moves(Whose whose) const {
  if (scene_.cell_.call() != "migrate_now" || whose != Whose::stream) return false;
  if (scene_.cell_.when != When::now) return true;
  const std::string_view action = scene_.cell_.action;
  if (action == "throw" || (action == "destroy-server" && scene_.cell_.kind() == "served")) {
    return false;
  }
  return scene_.expected_.whose != Whose::stream && scene_.expected_.whose != Whose::self;
}

// Returns how `connection` must end. `whose` tells whether it is the cell's (stream), its
// sibling's, or another one (nobody).
End Checks::end_of(const Connection& connection, Whose whose) const {
  const Expected& expected = scene_.expected_;
  const std::string_view call = scene_.cell_.call();
  const bool stream_kind = scene_.subject_kind_is_stream();
  if (ended_before()) return End::closed;
  if (moves(whose)) return End::moved;
  if (!connection.watched && expected.whose != Whose::stream) {
    // The action ends the task, or the owner of the task and the connection.
    const bool owner = whose == Whose::stream && scene_.cell_.action == "destroy-owner";
    return owner ? End::closed : End::lives;
  }
  if (expected.whose == Whose::server) {
    if (connection.served && scene_.acts_on_server_) {
      // At a hand-over, a connection in the kernel's queue is left to the successor, which this
      // scene does not have.
      const bool waits = connection.opens == 0 && scene_.cell_.action == "hand-over";
      return waits ? End::gone : expected.end == End::drained ? End::closed : expected.end;
    }
  } else if (whose != Whose::nobody &&
             (expected.whose == whose ||
              (expected.whose == Whose::self && stream_kind && whose == Whose::stream))) {
    return expected.end;
  }
  if (!stream_kind) return scene_.cell_.callback == "server.send" ? End::closed : End::lives;
  // In these cells the connection closes anyway, because its close led to the callback.
  const bool closes = call == "close" || (call == "shutdown" && whose == Whose::sibling);
  return closes && whose != Whose::nobody ? End::closed : End::lives;
}

void Checks::connection_end(Connection& connection, End end) {
  switch (end) {
    case End::gone:
      return gone(connection);
    case End::closed:
      return closed(connection, {});
    case End::failed:
      return closed(connection, std::make_error_code(std::errc::io_error));
    case End::aborted:
      return closed(connection, std::make_error_code(std::errc::connection_aborted));
    case End::timed_out:
      return closed(connection, Errc::timed_out);
    case End::detached:
      return detached(connection);
    case End::moved:
      return moved(connection);
    case End::half_closed:
      return half_closed(connection);
    default:
      return lives(connection);
  }
}

void Checks::lives(Connection& connection) {
  if (!connection.watched) return lives_unwatched(connection);
  ASSERT_NE(connection.stream, nullptr) << "it has gone";
  EXPECT_EQ(connection.closes, 0);
  connection.stream->set_idle_timeout(Duration::zero());
  connection.stream->resume_reading();
  if (!connection.peer_ended) {
    connection.far_write("more");
    EXPECT_TRUE(scene_.until([&] { return connection.got == connection.given; }))
        << "got " << connection.got << " of " << connection.given;
  }
  ASSERT_NE(connection.stream, nullptr) << "it has gone";
  connection.write("bye");
  EXPECT_TRUE(scene_.until([&] { return connection.far->got.size() >= connection.sent.size(); }));
  ASSERT_NE(connection.stream, nullptr) << "it has gone";
  connection.ends();
  connection.stream->close();
  closed(connection, {});
}

// A coroutine reads only if it is told to. It also writes in pieces, and nothing else may be
// written between them.
void Checks::lives_unwatched(Connection& connection) {
  const auto all_came = [&] { return connection.far->got.size() >= connection.sent.size(); };
  ASSERT_NE(connection.stream, nullptr) << "it has gone";
  EXPECT_TRUE(scene_.until(all_came));
  connection.write("bye");
  EXPECT_TRUE(scene_.until(all_came));
  connection.stream->close();
  closed(connection, {});
}

void Checks::closed(Connection& connection, std::error_code error) {
  EXPECT_TRUE(scene_.until([&] {
    return (connection.closes > 0 || !connection.watched) && connection.far_over();
  })) << "on_close() "
      << connection.closes << " times, the peer's end " << connection.far_over();
  settle();
  if (connection.watched) {
    EXPECT_EQ(connection.closes, 1);
    EXPECT_EQ(connection.error, error) << connection.error.message();
  }
  EXPECT_EQ(connection.late, 0) << "calls after the end";
  if (error == std::errc::connection_aborted) {
    EXPECT_EQ(connection.far->socket.error, ECONNRESET) << "no reset";
  }
  if (error) return expect_prefix(connection);
  EXPECT_TRUE(connection.far->end) << "the peer can't tell the end from a cut";
  EXPECT_EQ(connection.far->got.size(), connection.sent.size());
  EXPECT_TRUE(connection.far->got == connection.sent) << "the peer got other bytes";
  EXPECT_EQ(connection.far->socket.error, 0) << "a reset";
}

void Checks::gone(Connection& connection) {
  EXPECT_TRUE(scene_.until([&] { return connection.far_over(); })) << "the peer is not cut off";
  settle();
  EXPECT_EQ(connection.stream, nullptr);
  EXPECT_LE(connection.closes, matches("close|shutdown", scene_.cell_.call()) ? 1 : 0);
  EXPECT_EQ(connection.late, 0) << "calls after the end";
  expect_prefix(connection);
}

void Checks::detached(Connection& connection) {
  ASSERT_TRUE(connection.detached) << "detach() failed";
  works_elsewhere(connection);
  EXPECT_EQ(connection.closes, 0);
}

void Checks::moved(Connection& connection) {
  ASSERT_TRUE(connection.detached) << "it has not moved";
  EXPECT_TRUE(scene_.until([&] { return connection.closes > 0; }));
  EXPECT_EQ(connection.closes, 1);
  EXPECT_FALSE(connection.error) << connection.error.message();
  works_elsewhere(connection);
}

void Checks::works_elsewhere(Connection& connection) {
  connection.sent += "by hand";
  EXPECT_EQ(::send(connection.detached.fd(), "by hand", 7, 0), 7);
  EXPECT_TRUE(scene_.until([&] { return connection.far->got == connection.sent; }));
  EXPECT_FALSE(connection.far_over());
  connection.detached = {};
  EXPECT_TRUE(scene_.until([&] { return connection.far_over(); }));
  EXPECT_EQ(connection.late, 0) << "calls after the end";
}

void Checks::half_closed(Connection& connection) {
  EXPECT_TRUE(scene_.until([&] { return connection.far_over(); })) << "no end for the peer";
  EXPECT_TRUE(connection.far->got == connection.sent) << "the peer got other bytes";
  if (!connection.watched) return;
  if (!connection.peer_ended) {
    connection.far_write("more");
    EXPECT_TRUE(scene_.until([&] { return connection.got == connection.given; }));
    connection.far->end_writing();
  }
  EXPECT_TRUE(scene_.until([&] { return connection.closes > 0; }));
  EXPECT_EQ(connection.closes, 1);
  EXPECT_FALSE(connection.error) << connection.error.message();
}

// ---- Others ----

void Checks::subject_end() {
  if (scene_.subject_kind_is_stream()) return;
  const int before = scene_.calls_;
  EXPECT_EQ(before, 1);
  if (scene_.expected_.whose == Whose::self && scene_.expected_.end == End::gone) {
    settle();
    EXPECT_EQ(scene_.calls_, before) << "called after its end";
    return;
  }
  if (!scene_.subject_->repeats()) return;
  scene_.loop_.post([&scene = scene_] {
    if (scene.subject_ != nullptr) scene.subject_->provoke();
  });
  const bool other = scene_.cell_.action == "replace";
  EXPECT_TRUE(scene_.until([&] { return (other ? scene_.replaced_ : scene_.calls_ - before) > 0; }))
      << "not called again";
  EXPECT_TRUE(scene_.until([this] { return scene_.subject_->satisfied(); })) << "no good answer";
}

void Checks::sibling_end() {
  if (scene_.sibling_ == nullptr || scene_.subject_kind_is_stream()) return;
  if (scene_.expected_.whose == Whose::sibling) {
    const int before = scene_.sibling_calls_;
    settle();
    EXPECT_EQ(scene_.sibling_calls_, before) << "called after its end";
    return;
  }
  EXPECT_TRUE(scene_.until([this] { return scene_.sibling_calls_ > 0; }))
      << "the sibling was not called";
}

void Checks::over() {
  EXPECT_TRUE(scene_.until([this] {
    const HandleCounts counts = scene_.loop_.counts();
    return counts.io + counts.timers + counts.signals + counts.children + counts.transports == 0 &&
           scene_.loop_.keeping() == 0;
  })) << "something is left in the loop";
  scene_.attempt([this] { EXPECT_TRUE(scene_.loop_.run()) << "with nothing left"; });
}

}  // namespace reactor::adversity
