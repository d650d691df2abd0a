// SPDX-License-Identifier: MIT
#include "reactor/net/datagram/datagram.h"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "reactor/base/internal/poison.h"
#include "tests/support/datagram_kit.h"
#include "tests/support/fork.h"
#include "tests/support/pipes.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

class DatagramTest : public LoopTest {};
class DatagramTestFork : public LoopTest {};

// Sends `text` from another socket of the same kind, and returns the echo.
std::string echo_of(Loop& loop, const Address& at, const Address& client, std::string_view text) {
  DatagramRecorder handler;
  handler.echoes = true;
  const auto server = get(Datagram::bind(loop, at, handler));
  DatagramPeer peer(client);
  EXPECT_TRUE(peer.send(text, server->address()));
  const bool came = pump(loop, [&] { return peer.read(), !peer.got.empty(); });
  EXPECT_EQ(peer.from.to_string(), server->address().to_string());
  return came ? peer.got.front() : "nothing";
}

TEST_P(DatagramTest, EchoesOverEveryKindOfAddress) {
  Loop loop(options());
  const TemporaryFolder folder;
  const Address v4 = Address::loopback(0);
  EXPECT_EQ(echo_of(loop, v4, v4, "four"), "four");
  EXPECT_EQ(echo_of(loop, folder.socket("server"), folder.socket("client"), "path"), "path");
  if (Address::any(0).family() == AF_INET6) {
    EXPECT_EQ(echo_of(loop, parse_address("[::1]:0"), parse_address("[::1]:0"), "six"), "six");
  }
#if defined(__linux__)
  const std::string name = "reactor-test-" + std::to_string(::getpid());
  const Address server = Address::unix_abstract(name).value();
  const Address client = Address::unix_abstract(name + "-client").value();
  EXPECT_EQ(echo_of(loop, server, client, "abstract"), "abstract");
#endif
}

TEST_P(DatagramTest, ThousandArriveInOrderAndAreAnsweredInOrder) {
  Loop loop(options());
  DatagramOptions large;
  large.receive_buffer = 4 << 20;
  DatagramRecorder handler;
  handler.echoes = true;
  const auto server = get(Datagram::bind(loop, Address::loopback(0), handler, large));
  DatagramPeer peer(Address::loopback(0));
  std::vector<std::string> sent;
  for (int i = 0; i < 1000; ++i) {
    sent.push_back(std::to_string(i) + std::string(static_cast<std::size_t>(i % 3), '.'));
    ASSERT_TRUE(peer.send(sent.back(), server->address()));
    if (i % 50 == 49) {  // as many as fit into the system's default buffer
      ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == sent.size(); })) << i;
    }
  }
  EXPECT_EQ(handler.got, sent);
  EXPECT_EQ(peer.got, sent);
  EXPECT_EQ(server->stats().received, 1000U);
  EXPECT_EQ(server->stats().sent, 1000U);
  EXPECT_EQ(server->stats().dropped, 0U);
}

TEST_P(DatagramTest, ABatchIsFewCallsAndWithoutBatchesOneEach) {
  for (const bool batches : {true, false}) {
    Loop loop(options());
    DatagramOptions settings;
    settings.batches = batches;
    DatagramRecorder handler;
    handler.echoes = true;
    const auto server = get(Datagram::bind(loop, Address::loopback(0), handler, settings));
    DatagramPeer peer(Address::loopback(0));
    for (int i = 0; i < 40; ++i) ASSERT_TRUE(peer.send("x", server->address()));
    ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 40; }));
#if defined(__linux__)
    const DatagramStats& stats = server->stats();
    if (batches) {
      EXPECT_LE(stats.receive_calls, 3U);
      EXPECT_EQ(stats.send_calls, stats.receive_calls);
      EXPECT_EQ(static_cast<unsigned>(handler.batches), stats.receive_calls);
    } else {
      EXPECT_GE(stats.receive_calls, 40U);
      EXPECT_EQ(stats.send_calls, 40U);
    }
#endif
  }
}

// A flood of datagrams delays other work by no more than one batch (G10).
TEST_P(DatagramTest, G10_AFloodLeavesTimeForOthers) {
  Loop loop(options());
  DatagramRecorder handler;
  handler.echoes = true;  // the socket sends to itself, so it always has input
  const auto server = get(Datagram::bind(loop, Address::loopback(0), handler));
  for (int i = 0; i < 200; ++i) server->send_to("x", server->address());
  int turns = 0;
  Deferred each = loop.deferred([&] { ++turns; });
  for (int i = 0; i < 20; ++i) {
    each.schedule();
    ASSERT_TRUE(loop.run_once(milliseconds(100)));
  }
  EXPECT_EQ(turns, 20);
  EXPECT_LE(handler.got.size(), 20U * 64 * 16);
  EXPECT_GT(handler.got.size(), 200U);
}

TEST_P(DatagramTest, ZeroLengthIsADatagramAndNoEnd) {
  Loop loop(options());
  DatagramRecorder handler;
  handler.echoes = true;
  const auto server = get(Datagram::bind(loop, Address::loopback(0), handler));
  DatagramPeer peer(Address::loopback(0));
  for (const char* const text : {"", "a", "", ""}) ASSERT_TRUE(peer.send(text, server->address()));
  ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 4; }));
  EXPECT_EQ(handler.got, (std::vector<std::string>{"", "a", "", ""}));
  EXPECT_EQ(peer.got, handler.got);
  EXPECT_TRUE(handler.errors.empty());
}

TEST_P(DatagramTest, TruncationIsTold) {
  for (const bool offload : {true, false}) {
    Loop loop(options());
    DatagramOptions settings;
    settings.max_size = 2048;
    settings.receive_offload = offload;
    DatagramRecorder handler;
    const auto server = get(Datagram::bind(loop, Address::loopback(0), handler, settings));
    DatagramPeer peer(Address::loopback(0));
    for (const std::size_t size : std::vector<std::size_t>{2048, 2049, 9000, 1}) {
      ASSERT_TRUE(peer.send(std::string(size, 's'), server->address()));
    }
    ASSERT_TRUE(run_bounded(loop, [&] { return handler.got.size() == 4; }));
    EXPECT_EQ(handler.truncated, (std::vector<bool>{false, true, true, false}));
    EXPECT_EQ(handler.got[2], std::string(2048, 's'));
    EXPECT_EQ(handler.got[3], "s");
    EXPECT_EQ(server->stats().truncated, 2U);
  }
}

#if defined(__linux__)
TEST_P(DatagramTest, RepliesLeaveFromTheAddressThatWasAsked) {
  for (const char* const wildcard : {"0.0.0.0:0", "[::]:0"}) {
    if (parse_address(wildcard).family() != Address::any(0).family() && wildcard[0] == '[')
      continue;
    Loop loop(options());
    DatagramRecorder handler;
    std::vector<Address> asked;
    handler.when_datagram = [&](Datagram& socket, const Message& message) {
      asked.push_back(message.local());
      socket.reply(message, "now");
      socket.send_to(std::as_bytes(std::span("then", 4)), message.from(), message.local());
    };
    const auto server = get(Datagram::bind(loop, parse_address(wildcard), handler));
    DatagramPeer peer(Address::loopback(0));
    const Address second = parse_address("127.0.0.2:" + std::to_string(server->address().port()));
    ASSERT_TRUE(peer.send("who?", second));
    ASSERT_TRUE(pump(loop, [&] { return peer.read(), peer.got.size() == 2; })) << wildcard;
    EXPECT_EQ(peer.got, (std::vector<std::string>{"now", "then"}));
    EXPECT_EQ(peer.from, second);
    EXPECT_EQ(asked.at(0).to_string(), second.to_string());
    EXPECT_TRUE(handler.errors.empty());
  }
}

TEST_P(DatagramTest, TellsTheV6AddressThatWasAsked) {
  if (Address::any(0).family() != AF_INET6) GTEST_SKIP() << "no IPv6 here";
  Loop loop(options());
  DatagramRecorder handler;
  std::string asked;
  handler.when_datagram = [&](Datagram&, const Message& message) {
    asked = message.local().to_string();
  };
  const auto server = get(Datagram::bind(loop, parse_address("[::]:0"), handler));
  const Address one = parse_address("[::1]:" + std::to_string(server->address().port()));
  const DatagramPeer peer(parse_address("[::1]:0"));
  ASSERT_TRUE(peer.send("who?", one));
  ASSERT_TRUE(run_bounded(loop, [&] { return !asked.empty(); }));
  EXPECT_EQ(asked, one.to_string());
}
#endif

TEST_P(DatagramTest, AdoptsASocketAndRefusesOthers) {
  Loop loop(options());
  DatagramRecorder handler;
  FdPair pair = make_socket_pair();
  EXPECT_EQ(Datagram::adopt(loop, Socket(std::move(pair.near)), handler).error(),
            std::errc::wrong_protocol_type);
  FdPair pipe = make_pipe();
  EXPECT_EQ(Datagram::adopt(loop, Socket(std::move(pipe.near)), handler).error(),
            std::errc::not_a_socket);
  UniqueFd fd(::socket(AF_INET, SOCK_DGRAM, 0));  // this descriptor is blocking
  const Address local = Address::loopback(0);
  ASSERT_EQ(::bind(fd.get(), local.data(), local.size()), 0);
  const auto server = get(Datagram::adopt(loop, Socket(std::move(fd)), handler));
  DatagramPeer peer(local);
  ASSERT_TRUE(peer.send("x", server->address()));
  EXPECT_TRUE(run_bounded(loop, [&] { return !handler.got.empty(); }));
}

TEST_P(DatagramTest, SeveralShareAPortWhereAsked) {
  Loop loop(options());
  DatagramRecorder handler;
  DatagramOptions sharing;
  sharing.reuse_port = true;
  const auto first = get(Datagram::bind(loop, Address::loopback(0), handler, sharing));
  const auto second = get(Datagram::bind(loop, first->address(), handler, sharing));
  EXPECT_EQ(first->address(), second->address());
  EXPECT_EQ(Datagram::bind(loop, first->address(), handler).error(), std::errc::address_in_use);
}

TEST_P(DatagramTest, PauseLeavesThemInTheKernel) {
  Loop loop(options());
  DatagramRecorder handler;
  const auto server = get(Datagram::bind(loop, Address::loopback(0), handler));
  DatagramPeer peer(Address::loopback(0));
  server->pause_reading();
  ASSERT_TRUE(peer.send("x", server->address()));
  EXPECT_LE(run_for(loop, milliseconds(20)), 3);
  EXPECT_TRUE(handler.got.empty());
  server->resume_reading();
  EXPECT_TRUE(run_bounded(loop, [&] { return !handler.got.empty(); }));
}

TEST_P(DatagramTest, WhatIsSentOutsideABatchLeavesInTheSameTurn) {
  Loop loop(options());
  DatagramRecorder handler;
  DatagramPeer peer(Address::loopback(0));
  const auto client = get(Datagram::connect(loop, peer.address(), handler));
  loop.post([&] {
    for (int i = 0; i < 10; ++i) client->send("x");
  });
  ASSERT_TRUE(poll_until(loop, [&] { return peer.read(), peer.got.size() == 10; }));
#if defined(__linux__)
  EXPECT_EQ(client->stats().send_calls, 1U);
#endif
  client->send("flushed");
  client->flush();
  peer.read();
  EXPECT_EQ(peer.got.back(), "flushed");
}

TEST_P(DatagramTest, WhatWasSentBeforeTheEndLeaves) {
  Loop loop(options());
  DatagramRecorder handler;
  DatagramPeer peer(Address::loopback(0));
  auto client = get(Datagram::connect(loop, peer.address(), handler));
  client->send("last");
  client.reset();
  peer.read();
  EXPECT_EQ(peer.got, std::vector<std::string>{"last"});
  EXPECT_TRUE(loop.poll());
}

// Both sockets of a relay share the memory in which outgoing datagrams are collected.
TEST_P(DatagramTest, ARelayKeepsTheOrder) {
  Loop loop(options());
  DatagramRecorder inner, outer;
  DatagramPeer peer(Address::loopback(0)), target(Address::loopback(0));
  const auto out = get(Datagram::connect(loop, target.address(), outer));
  const auto in = get(Datagram::bind(loop, Address::loopback(0), inner));
  inner.when_datagram = [&](Datagram& socket, const Message& message) {
    out->send(message.text());
    socket.reply(message, "ok");
  };
  std::vector<std::string> sent;
  for (int i = 0; i < 30; ++i) {
    sent.push_back(std::to_string(i));
    ASSERT_TRUE(peer.send(sent.back(), in->address()));
  }
  ASSERT_TRUE(pump(loop, [&] {
    target.read(), peer.read();
    return target.got.size() == 30 && peer.got.size() == 30;
  }));
  EXPECT_EQ(target.got, sent);
}

// ---- Destruction in callbacks (G2), exceptions (G6) ----

TEST_P(DatagramTest, G2_MayBeDestroyedInEachCallback) {
  for (int which = 0; which < 3; ++which) {
    Loop loop(options());
    DatagramRecorder handler;
    auto server = get(Datagram::bind(loop, Address::loopback(0), handler));
    DatagramPeer peer(Address::loopback(0));
    const auto end = [&](Datagram&) { server.reset(); };
    if (which == 0) {
      handler.when_datagram = [&](Datagram& socket, const Message& message) {
        socket.reply(message, "bye");
        server.reset();
      };
    }
    if (which == 1) handler.when_batch_end = end;
    if (which == 2) {
      handler.when_error = end;
      server->send_to(std::string(70000, 'x'), peer.address());
    }
    for (int i = 0; i < 5; ++i) ASSERT_TRUE(peer.send("x", server->address()));
    ASSERT_TRUE(run_bounded(loop, [&] { return server == nullptr; })) << which;
    EXPECT_TRUE(loop.poll());
    if (which == 0) {
      EXPECT_EQ(handler.got.size(), 1U);
      peer.read();
      EXPECT_EQ(peer.got, std::vector<std::string>{"bye"});
    }
  }
}

TEST_P(DatagramTest, G6_AnExceptionLosesNothing) {
  Loop loop(options());
  DatagramRecorder first, second;
  const auto throwing = get(Datagram::bind(loop, Address::loopback(0), first));
  const auto other = get(Datagram::bind(loop, Address::loopback(0), second));
  DatagramPeer peer(Address::loopback(0));
  first.when_datagram = [](Datagram& socket, const Message& message) {
    socket.reply(message, message.bytes());
    if (message.text() == "2") throw std::runtime_error("two");
  };
  for (const char* const text : {"1", "2", "3"}) {
    ASSERT_TRUE(peer.send(text, throwing->address()));
    ASSERT_TRUE(peer.send(text, other->address()));
  }
  bool thrown = false;
  ASSERT_TRUE(pump(loop, [&] {
    try {
      static_cast<void>(loop.poll().has_value());
    } catch (const std::runtime_error&) {
      thrown = true;
    }
    peer.read();
    return peer.got.size() == 3 && second.got.size() == 3;
  }));
  EXPECT_TRUE(thrown);
  EXPECT_EQ(first.got, (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(second.got, first.got);
}

TEST_P(DatagramTestFork, G9_AChildOnlyClosesIt) {
  const TemporaryFolder folder;
  Loop loop(options());
  DatagramRecorder handler;
  DatagramPeer peer(folder.socket("peer"));
  auto server = get(Datagram::bind(loop, folder.socket("server"), handler));
  server->send_to("once", peer.address());
  EXPECT_EQ(in_child([&] {
              server.reset();
              EXPECT_TRUE(std::filesystem::exists(folder.file("server")));
            }),
            0);
  ASSERT_TRUE(loop.poll());
  peer.read();
  EXPECT_EQ(peer.got, std::vector<std::string>{"once"});
}

TEST_P(DatagramTestFork, AChildThatGoesOnSendsItsOwnOnly) {
  Loop loop(options());
  DatagramRecorder handler;
  DatagramPeer peer(Address::loopback(0));
  const auto client = get(Datagram::connect(loop, peer.address(), handler));
  client->send("parent");
  EXPECT_EQ(in_child([&] {
              ASSERT_TRUE(loop.reinit_after_fork());
              client->send("child");
              EXPECT_TRUE(loop.poll());
            }),
            0);
  peer.read();
  EXPECT_EQ(peer.got, std::vector<std::string>{"child"});
  ASSERT_TRUE(loop.poll());
  peer.read();
  EXPECT_EQ(peer.got, (std::vector<std::string>{"child", "parent"}));
}

TEST_P(DatagramTest, AMessageIsPoisonedAfterItsCallback) {
  Loop loop(options());
  DatagramRecorder handler;
  const auto socket = get(Datagram::bind(loop, Address::loopback(0), handler));
  const DatagramPeer peer(Address::loopback(0));
  std::vector<const void*> kept;
  handler.when_datagram = [&](Datagram&, const Message& message) {
    for (const void* old : kept) {
      EXPECT_EQ(is_poisoned(old), kPoisons && old != message.bytes().data());
    }
    kept.push_back(message.bytes().data());
  };
  const std::string text(64, 'd');
  for (std::size_t round = 1; round <= 2; ++round) {
    kept.clear();  // the next batch uses the same memory
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(peer.send(text, socket->address()));
    ASSERT_TRUE(run_bounded(loop, [&] { return handler.got.size() == 3 * round; }));
    for (const void* old : kept) EXPECT_EQ(is_poisoned(old), kPoisons);
  }
  EXPECT_EQ(handler.got, std::vector<std::string>(6, text));
}

INSTANTIATE_TEST_SUITE_P(Backends, DatagramTest, every_backend(), BackendName());
INSTANTIATE_TEST_SUITE_P(Backends, DatagramTestFork, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
