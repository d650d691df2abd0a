// SPDX-License-Identifier: MIT
// These tests put a Server behind a proxy that speaks the PROXY protocol.
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/net/server.h"
#include "tests/support/log_capture.h"
#include "tests/support/loop_test.h"
#include "tests/support/proxy_headers.h"
#include "tests/support/stream_kit.h"
#include "tests/support/temporary_folder.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kLine = "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n";
constexpr std::string_view kSaid = "<192.0.2.1:56324 192.0.2.2:443>";

// Notes records the actions of a test's connections.
struct Notes {
  int opened = 0, alive = 0, shutdowns = 0;
  std::string closed_peers;  // in on_close()
  bool pause_at_open = false;
  bool migrates = false;
  std::string adopted;       // the states with which connections came
  Stream* stream = nullptr;  // the last Stream that was opened
};

// This handler sends the addresses first, and then echoes.
class Named final : public StreamHandler {
 public:
  using Context = Notes;
  explicit Named(Notes& notes) : notes_(notes) { ++notes_.alive; }
  Named(const Named&) = delete;
  Named& operator=(const Named&) = delete;
  ~Named() { --notes_.alive; }
  void on_open(Stream& stream) override {
    ++notes_.opened;
    notes_.stream = &stream;
    stream.write("<" + stream.peer().value().to_string() + " " +
                 stream.local().value().to_string() + ">");
    if (notes_.pause_at_open) stream.pause_reading();
  }
  void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
  void on_shutdown(Stream& stream) override {
    ++notes_.shutdowns;
    stream.write("bye");
    stream.close();
  }
  HandOver on_hand_over(Stream&, std::vector<std::byte>& state) override {
    const auto text = std::as_bytes(std::span(std::string_view("state ")));
    state.assign(text.begin(), text.end());
    return notes_.migrates ? HandOver::now : HandOver::no;
  }
  void on_adopt(Stream&, std::span<const std::byte> state) override {
    notes_.adopted.append(reinterpret_cast<const char*>(state.data()), state.size());
  }
  void on_close(Stream& stream, std::error_code) noexcept override {
    if (const auto peer = stream.peer()) notes_.closed_peers += peer->to_string();
  }

 private:
  Notes& notes_;
};

class ServerProxyTest : public LoopTest {
 protected:
  [[nodiscard]] static ServerLimits limits(ProxyProtocol protocol = ProxyProtocol::either) {
    ServerLimits limits;
    limits.proxy.protocol = protocol;
    limits.proxy.allow_from = {get(Network::parse("127.0.0.1"))};
    return limits;
  }
  void listen(const ServerLimits& limits, const Address& address = Address::loopback(0)) {
    server = get(Server<Named>::listen(loop, address, limits, notes));
  }
  [[nodiscard]] Peer client() const { return connect_peer(server->addresses()[0]); }
  [[nodiscard]] bool gets(Peer& peer, std::string_view text) {
    return pump(loop, [&] { return peer.read(), peer.got.size() >= text.size() || peer.over(); }) &&
           peer.got == text;
  }
  // Returns whether the server closed the connection without sending a byte, and kept nothing of
  // it.
  [[nodiscard]] bool is_dropped(Peer& peer) {
    return pump(loop, [&] { return peer.read(), peer.over(); }) && peer.got.empty() &&
           run_bounded(loop, [&] { return server->connections() == 0; }) && notes.alive == 0;
  }

  Loop loop{options()};
  Notes notes;
  std::unique_ptr<Server<Named>> server;
};

TEST_P(ServerProxyTest, TheHeaderSaysWhoseConnectionItIs) {
  listen(limits());
  for (const std::string& header : {std::string(kLine), proxy_v2(0x21, 0x11, kProxyV4)}) {
    Peer peer = client();
    peer.write(header);
    EXPECT_TRUE(gets(peer, kSaid)) << peer.got;
  }
  EXPECT_EQ(server->proxy_stats().passed, 2U);
  EXPECT_EQ(server->accepted(), 2U);
}

TEST_P(ServerProxyTest, WhereItSaysNothingTheSocketsAddressesStand) {
  listen(limits());
  for (const std::string& header : {std::string("PROXY UNKNOWN\r\n"), proxy_v2(0x20, 0, "")}) {
    Peer peer = client();
    peer.write(header);
    const std::string own = Socket::local_address(peer.fd.get()).value().to_string();
    EXPECT_TRUE(gets(peer, "<" + own + " " + server->addresses()[0].to_string() + ">"));
  }
}

TEST_P(ServerProxyTest, BytesBehindTheHeaderAreTheHandlers) {
  listen(limits());
  Peer peer = client();
  peer.write(std::string(kLine) + "one");
  EXPECT_TRUE(gets(peer, std::string(kSaid) + "one")) << peer.got;
  peer.write("two");
  EXPECT_TRUE(gets(peer, std::string(kSaid) + "onetwo")) << peer.got;
}

TEST_P(ServerProxyTest, TheyWaitForAHandlerThatDoesNotReadYet) {
  notes.pause_at_open = true;
  listen(limits());
  Peer peer = client();
  peer.write(std::string(kLine) + "one");
  EXPECT_TRUE(gets(peer, kSaid)) << peer.got;
  EXPECT_LE(run_for(loop, milliseconds(20)), 4) << "no spinning";
  peer.read();
  EXPECT_EQ(peer.got, kSaid);
  notes.stream->resume_reading();
  EXPECT_TRUE(gets(peer, std::string(kSaid) + "one")) << peer.got;
}

TEST_P(ServerProxyTest, AHeaderInPieces) {
  listen(limits());
  const std::string long_one = proxy_v2(0x21, 0x11, kProxyV4 + std::string(2000, 'x'));
  for (const std::string& header : {std::string(kLine), proxy_v2(0x21, 0x11, kProxyV4), long_one}) {
    Peer peer = client();
    const int before = notes.opened;
    for (std::size_t at = 0; at < header.size(); ++at) {
      EXPECT_EQ(notes.opened, before);
      peer.write(header.substr(at, 1));
      EXPECT_TRUE(loop.run_once(milliseconds(header.size() < 100 ? 100 : 1)));
    }
    peer.write("x");
    EXPECT_TRUE(gets(peer, std::string(kSaid) + "x")) << peer.got;
  }
}

TEST_P(ServerProxyTest, APartOfAHeaderCostsNoTurns) {
  listen(limits());
  Peer peer = client();
  peer.write("PROXY TCP4 ");
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 1; }));
  EXPECT_LE(run_for(loop, milliseconds(30)), 6) << "what was looked at must not stay unread";
  EXPECT_EQ(notes.alive, 0) << "no handler before the header";
}

TEST_P(ServerProxyTest, WhatIsNoHeaderEndsWithoutAnAnswer) {
  const LogCapture log;
  listen(limits(ProxyProtocol::v2));
  std::uint64_t expected = 0;
  for (const std::string& text : {std::string("GET / HTTP/1.1\r\n\r\n"), std::string("\n"),
                                  std::string(kLine), proxy_v2(0x22, 0x11, kProxyV4)}) {
    Peer peer = client();
    peer.write(text);
    EXPECT_TRUE(is_dropped(peer)) << text;
    EXPECT_EQ(server->proxy_stats().malformed, ++expected);
  }
  EXPECT_EQ(notes.opened, 0);
  ASSERT_EQ(log.lines().size(), 1U) << "no line for each";
  EXPECT_EQ(log.lines()[0].level, LogLevel::warn);
  EXPECT_TRUE(log.contains("dropped a connection from 127.0.0.1:")) << log.lines()[0].text;
}

TEST_P(ServerProxyTest, TheLogSaysWhatCameInstead) {
  const struct {
    ProxyProtocol protocol;
    std::string text;
    const char* told;
  } cases[] = {
      {ProxyProtocol::v1, proxy_v2(0x21, 0x11, kProxyV4),
       "is of version 2, configured is version 1"},
      {ProxyProtocol::v2, std::string(kLine), "is of version 1, configured is version 2"},
      {ProxyProtocol::v1, "GET / HTTP/1.1\r\n\r\n",
       "there is none, it begins with 'GET / HTTP/1.1\\r\\n'"},
      {ProxyProtocol::either, "\x16\x03\x01", "there is none, it begins with '\\x16\\x03\\x01'"},
      {ProxyProtocol::v1, "PROXY TCP5 ::1 ::1 1 2\r\n", "the header is malformed"},
      {ProxyProtocol::either, proxy_v2(0x22, 0x11, kProxyV4), "the header is malformed"},
  };
  for (const auto& [protocol, text, told] : cases) {
    const LogCapture log;
    listen(limits(protocol));
    Peer peer = client();
    peer.write(text);
    EXPECT_TRUE(is_dropped(peer)) << told;
    ASSERT_FALSE(log.lines().empty()) << told;
    EXPECT_TRUE(log.contains(told)) << log.lines()[0].text;
  }
}

TEST_P(ServerProxyTest, WhoSaysNothingIsClosedInTime) {
  ServerLimits short_limits = limits();
  short_limits.proxy.time_limit = milliseconds(50);
  listen(short_limits);
  Peer silent = client(), slow = client();
  slow.write("PROXY TCP4 ");
  const TimePoint start = monotonic_now();
  EXPECT_TRUE(pump(loop, [&] { return silent.read(), slow.read(), silent.over() && slow.over(); }));
  EXPECT_GE(monotonic_now() - start, milliseconds(49));
  EXPECT_EQ(server->proxy_stats().timed_out, 2U);
  EXPECT_EQ(server->connections(), 0U);
}

TEST_P(ServerProxyTest, TheTimeLimitIsThatOfTheHeaderAlone) {
  ServerLimits short_limits = limits();
  short_limits.proxy.time_limit = milliseconds(30);
  listen(short_limits);
  Peer peer = client();
  peer.write(kLine);
  EXPECT_TRUE(gets(peer, kSaid)) << peer.got;
  run_for(loop, milliseconds(60));
  peer.write("x");
  EXPECT_TRUE(gets(peer, std::string(kSaid) + "x")) << peer.got;
}

TEST_P(ServerProxyTest, WhoEndsBeforeTheHeaderIsForgotten) {
  const LogCapture log;
  listen(limits());
  Peer silent = client(), slow = client();
  slow.write("PROXY TCP4 ");
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 2; }));
  silent.fd.reset();
  slow.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
  EXPECT_EQ(server->proxy_stats().gone, 2U);
  EXPECT_TRUE(log.lines().empty()) << log.lines()[0].text;
}

TEST_P(ServerProxyTest, FromElsewhereNothingIsTaken) {
  const LogCapture log;
  ServerLimits elsewhere = limits();
  elsewhere.proxy.allow_from = {get(Network::parse("127.0.0.2/31")), get(Network::parse("::1"))};
  listen(elsewhere);
  for (int i = 0; i < 20; ++i) {
    Peer peer = client();
    peer.write(kLine);
    EXPECT_TRUE(is_dropped(peer));
  }
  EXPECT_EQ(server->proxy_stats().not_allowed, 20U);
  EXPECT_EQ(notes.opened, 0);
  EXPECT_EQ(log.lines().size(), 1U) << "no line for each";
}

TEST_P(ServerProxyTest, AV6WildcardKnowsIts4Clients) {
  const Address any = Address::any(0);
  if (any.family() != AF_INET6) GTEST_SKIP() << "no IPv6 here";
  listen(limits(), any);
  Peer peer = connect_peer(Address::loopback(server->addresses()[0].port()));
  peer.write(kLine);
  EXPECT_TRUE(gets(peer, kSaid)) << peer.got;
}

TEST_P(ServerProxyTest, UnixSocketsNeedNoNetwork) {
  ServerLimits none = limits();
  none.proxy.allow_from.clear();
  const TemporaryFolder folder;
  listen(none, folder.socket());
  Peer peer = client();
  peer.write(kLine);
  EXPECT_TRUE(gets(peer, kSaid)) << peer.got;
}

TEST_P(ServerProxyTest, OnCloseStillKnowsTheClient) {
  listen(limits());
  Peer peer = client();
  peer.write(kLine);
  EXPECT_TRUE(gets(peer, kSaid)) << peer.got;
  peer.fd.reset();
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
  EXPECT_EQ(notes.closed_peers, "192.0.2.1:56324");
}

TEST_P(ServerProxyTest, OneConnectionsAddressesAreNotTheNexts) {
  listen(limits());
  for (const bool said : {true, false, true, false}) {  // often in the memory of the one before
    Peer peer = client();
    peer.write(said ? kLine : "PROXY UNKNOWN\r\n");
    EXPECT_TRUE(pump(loop, [&] { return peer.read(), !peer.got.empty(); }));
    EXPECT_EQ(peer.got == kSaid, said) << peer.got;
    peer.fd.reset();
    EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 0; }));
  }
}

TEST_P(ServerProxyTest, OneThatWaitsCountsAndMakesRoomWhenItEnds) {
  ServerLimits one = limits();
  one.max_connections = 1;
  listen(one);
  Peer silent = client();
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 1; }));
  Peer next = client();
  next.write(kLine);
  run_for(loop, milliseconds(20));
  EXPECT_EQ(server->accepted(), 1U);
  silent.fd.reset();
  EXPECT_TRUE(gets(next, kSaid)) << next.got;
}

TEST_P(ServerProxyTest, DrainWaitsForHeadersThatAreUnderWay) {
  listen(limits());
  Peer served = client(), waiting = client();
  served.write(kLine);
  waiting.write(kLine.substr(0, 10));
  EXPECT_TRUE(gets(served, kSaid)) << served.got;
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 2; }));
  bool done = false;
  server->drain([&] { done = true; });
  EXPECT_TRUE(gets(served, std::string(kSaid) + "bye")) << served.got;
  EXPECT_FALSE(done);
  waiting.write(std::string(kLine.substr(10)) + "last");
  EXPECT_TRUE(gets(waiting, std::string(kSaid) + "lastbye")) << waiting.got;
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  EXPECT_EQ(notes.shutdowns, 2);
}

TEST_P(ServerProxyTest, DestroyingTheServerClosesWhatWaits) {
  listen(limits());
  Peer silent = client(), slow = client();
  slow.write("PROXY TCP4 ");
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 2; }));
  server.reset();
  silent.read();
  slow.read();
  EXPECT_TRUE(silent.over() && slow.over());
  EXPECT_TRUE(loop.run()) << "nothing is left to wait for";
}

TEST_P(ServerProxyTest, AStreamThatWasAnnouncedMayDieUnstarted) {
  Link link(loop);
  const Address somebody = get(Address::parse("192.0.2.1:1"));
  link.stream->announce(somebody, somebody);
  EXPECT_EQ(link.stream->peer().value(), somebody);
  void* const before = link.stream.get();
  link.stream.reset();
  Link next(loop);  // this often reuses the same memory
  EXPECT_NE(next.stream->peer().value(), somebody) << (next.stream.get() == before);
}

// This successor stands for another process.
class Heir final : public HandOverTarget {
 public:
  HandOverReply send(int fd, std::span<const std::byte> state) noexcept override {
    letters.emplace_back(UniqueFd(::dup(fd)), std::vector<std::byte>(state.begin(), state.end()));
    return HandOverReply::taken;
  }
  std::vector<std::pair<UniqueFd, std::vector<std::byte>>> letters;
};

TEST_P(ServerProxyTest, AConnectionThatMovesKeepsItsAddresses) {
  notes.migrates = true;
  listen(limits());
  const std::string address = server->addresses()[0].to_string();
  Peer known = client(), unknown = client(), waiting = client();
  known.write(kLine);
  unknown.write("PROXY UNKNOWN\r\n");
  waiting.write(kLine.substr(0, 10));
  EXPECT_TRUE(gets(known, kSaid)) << known.got;
  EXPECT_TRUE(pump(loop, [&] { return unknown.read(), !unknown.got.empty(); }));
  EXPECT_TRUE(run_bounded(loop, [&] { return server->connections() == 3; }));

  Heir heir;
  bool done = false;
  server->hand_over(heir, [&] { done = true; });
  EXPECT_TRUE(run_bounded(loop, [&] { return heir.letters.size() == 2; }));
  waiting.write(kLine.substr(10));
  EXPECT_TRUE(pump(loop, [&] { return done; }));
  ASSERT_EQ(heir.letters.size(), 3U);

  Notes later;
  const auto next = get(Server<Named>::listen(loop, Address::loopback(0), limits(), later));
  for (auto& [fd, state] : heir.letters) {
    EXPECT_TRUE(next->adopt_connection(Socket(std::move(fd)), state));
  }
  EXPECT_EQ(later.adopted, "state state state ") << "without what came before it";
  std::string peers;
  next->for_each([&](Stream& stream, Named&) { peers += stream.peer()->to_string() + " "; });
  const std::string own = Socket::local_address(unknown.fd.get()).value().to_string();
  EXPECT_NE(peers.find("192.0.2.1:56324 "), std::string::npos) << peers;
  EXPECT_NE(peers.find(own + " "), std::string::npos) << peers;
  EXPECT_EQ(next->proxy_stats().passed, 0U) << "no header is asked for again";
}

TEST_P(ServerProxyTest, AConnectionThatWasOnlyAcceptedElsewhereStillNeedsItsHeader) {
  listen(limits());
  const Socket elsewhere = get(Socket::listen(Address::loopback(0), {}));
  Peer peer = connect_peer(get(elsewhere.local()));
  peer.write(kLine.substr(0, 10));
  Socket accepted;
  EXPECT_TRUE(pump(
      loop, [&] { return static_cast<bool>(accepted = get(Socket::accept(elsewhere.fd()))); }));
  EXPECT_TRUE(server->adopt_connection(std::move(accepted), {}));
  EXPECT_EQ(notes.alive, 0);
  peer.write(kLine.substr(10));
  EXPECT_TRUE(gets(peer, kSaid)) << peer.got;
}

TEST_P(ServerProxyTest, AStateThatNoServerWroteIsRefused) {
  listen(limits());
  const auto [ours, theirs] = make_tcp_pair();
  EXPECT_EQ(
      server
          ->adopt_connection(Socket(UniqueFd(::dup(ours.get()))), std::as_bytes(std::span("state")))
          .error(),
      std::errc::bad_message);
  EXPECT_EQ(server->connections(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Backends, ServerProxyTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
