// SPDX-License-Identifier: MIT
// These tests cover coro::Datagram: receiving one datagram at a time, errors, and the end.
#include "reactor/base/error.h"
#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

class Datagrams : public CoroTest {};

TEST_P(Datagrams, AreReceivedOneByOne) {
  Loop loop(options());
  const auto server = get(Datagram::bind(loop, Address::loopback(0)));
  const auto client = get(Datagram::connect(loop, server->address()));
  const auto body = [&]() -> Task<> {
    std::array<std::byte, 8> buffer;
    for (const std::string_view text : {"one", "", "much too long"}) client->transport().send(text);
    client->transport().flush();
    const Received one = (co_await server->receive(buffer)).value();
    EXPECT_EQ(one.size, 3u);
    EXPECT_EQ(one.from, client->address());
    co_await sleep_for(1ms);
    const Received empty = (co_await server->receive(buffer)).value();
    EXPECT_EQ(empty.size, 0u);
    EXPECT_FALSE(empty.truncated);
    const Received cut = (co_await server->receive(buffer)).value();
    EXPECT_EQ(cut.size, buffer.size());
    EXPECT_TRUE(cut.truncated);
    server->transport().send_to("answer", cut.from);
    const Received answer = (co_await client->receive(buffer)).value();
    EXPECT_EQ(answer.size, 6u);
    const Result<Received> none = co_await with_timeout(1ms, server->receive(buffer));
    EXPECT_EQ(none.error(), Errc::timed_out);
  };
  const Spawned spawned = spawn(loop, body());
  EXPECT_TRUE(pump(loop, [&] { return spawned.done(); }));
}

TEST_P(Datagrams, ReportThatNobodyIsThere) {
  SKIP_BACKEND_ON_LIBKQUEUE("takes the error that a datagram came back with");
  Loop loop(options());
  std::array<std::byte, 8> buffer;
  auto server = get(Datagram::bind(loop, Address::loopback(0)));
  const auto client = get(Datagram::connect(loop, server->address()));
  server.reset();
  std::error_code error;
  const auto body = [&]() -> Task<> {
    client->transport().send("anybody?");
    error = (co_await client->receive(buffer)).error();
  };
  const Spawned spawned = spawn(loop, body());
  EXPECT_TRUE(pump(loop, [&] { return spawned.done(); }));
  EXPECT_EQ(error, std::errc::connection_refused);
}

TEST_P(Datagrams, WhoWaitsIsToldOfTheEnd) {
  Loop loop(options());
  std::array<std::byte, 8> buffer;
  auto server = get(Datagram::bind(loop, Address::loopback(0)));
  std::error_code error;
  const auto body = [&]() -> Task<> { error = (co_await server->receive(buffer)).error(); };
  const Spawned spawned = spawn(loop, body());
  ASSERT_TRUE(loop.poll().has_value());
  server.reset();
  EXPECT_TRUE(pump(loop, [&] { return spawned.done(); }));
  EXPECT_EQ(error, std::errc::operation_canceled);
}

// In when_all(), the awaiter of a finished await lives until all of them are finished.
TEST_P(Datagrams, ASocketMayGoBeforeAnAwaitThatIsOver) {
  Loop loop(options());
  std::array<std::byte, 8> buffer;
  auto socket = get(Datagram::bind(loop, Address::loopback(0)));
  const auto close_later = [&]() -> Task<> {
    socket->transport().send_to("x", socket->address());
    co_await sleep_for(1ms);
    co_await sleep_for(1ms);  // resumes in a later turn than the one that received
    socket.reset();
  };
  bool received = false;
  const auto body = [&]() -> Task<> {
    auto [got, nothing] = co_await when_all(socket->receive(buffer), close_later());
    received = got.has_value();
  };
  const Spawned spawned = spawn(loop, body());
  EXPECT_TRUE(pump(loop, [&] { return spawned.done(); }));
  EXPECT_TRUE(received);
}

INSTANTIATE_TEST_SUITE_P(Backends, Datagrams, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
