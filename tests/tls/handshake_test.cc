// SPDX-License-Identifier: MIT
// The handshake before on_open(): what both sides agree on, and what they refuse.
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "reactor/base/error.h"
#include "reactor/net/server.h"
#include "tests/tls/tls_kit.h"

namespace reactor::tls {
namespace {

using std::chrono::milliseconds;

class TlsHandshake : public LoopTest {};

// A server's Stream and a client's Stream, both of this library.
struct Both {
  Both(Loop& loop, ServerContext& server, ClientContext& client, const std::string& host,
       std::uint16_t port = 0) {
    FdPair pair = make_socket_pair();  // nothing waits for acknowledgements here
    near = std::make_unique<Stream>(loop, Socket(std::move(pair.near)), accepting, options);
    far = std::make_unique<Stream>(loop, Socket(std::move(pair.far)), connecting, options);
    near->set_transport(server.make_transport());
    far->set_transport(client.transport_for(host, port).value());
    accepting.when_open = [](Stream& stream) { stream.write("welcome"); };
    near->start();
    far->start();
  }
  // Returns whether both sides opened and the server's greeting came. The session tickets come with
  // the greeting.
  bool open(Loop& loop) {
    return run_bounded(loop,
                       [&] {
                         return connecting.got == "welcome" ||
                                accepting.closes + connecting.closes > 0;
                       }) &&
           connecting.got == "welcome";
  }
  // Returns whether both Streams closed without on_open() on the client's side.
  bool fail(Loop& loop) {
    return run_bounded(loop, [&] { return accepting.closes > 0 && connecting.closes > 0; }) &&
           connecting.opens == 0;
  }
  [[nodiscard]] const Connection& server_side() const { return *Connection::of(*near); }
  [[nodiscard]] const Connection& client_side() const { return *Connection::of(*far); }

  StreamOptions options;
  Recorder accepting, connecting;
  std::unique_ptr<Stream> near, far;
};

TEST_P(TlsHandshake, TellsWhatWasAgreedOn) {
  Loop loop(options());
  const auto server = make_server({.protocols = {"second", "first"}});
  const auto client = make_client({.protocols = {"other", "first", "second"}});
  Both both(loop, *server, *client, "localhost");
  ASSERT_TRUE(both.open(loop)) << both.connecting.error.message();
  for (const Connection* side : {&both.server_side(), &both.client_side()}) {
    EXPECT_EQ(side->version(), "TLSv1.3");
    EXPECT_EQ(side->protocol(), "second") << "the server's choice";
    EXPECT_EQ(side->server_name(), "localhost");
    EXPECT_NE(side->cipher(), "");
    EXPECT_FALSE(side->resumed());
  }
  Link plain(loop);
  EXPECT_EQ(Connection::of(*plain.stream), nullptr);
}

TEST_P(TlsHandshake, AVersionThatIsTooOldIsRefused) {
  Loop loop(options());
  const auto server = make_server({.least_version = Version::v1_3});
  Link link(loop);
  TlsPeer peer(std::move(link.peer.fd), peer_client(TLS1_2_VERSION));
  link.stream->set_transport(server->make_transport());
  link.start();
  EXPECT_TRUE(pump(loop, [&] { return peer.read(), link.handler.closes > 0; }));
  EXPECT_EQ(link.handler.error.message(), "TLS: unsupported protocol");
  peer.read();
  EXPECT_EQ(peer.failure, "tlsv1 alert protocol version");
}

// The peer chooses the group, and can send the same hello again and again. No accepted group may be
// expensive.
TEST_P(TlsHandshake, OnlyCheapGroupsAreTaken) {
  const std::vector<std::pair<std::string, bool>> cases = {
      {"X25519", true},     {"P-256", true},      {"P-384", true},      {"P-521", false},
      {"ffdhe2048", false}, {"ffdhe8192", false}, {"X448:P-256", true},
  };
  Loop loop(options());
  const auto server = make_server();
  for (const auto& [groups, good] : cases) {
    const auto client = make_client({.groups = groups});
    Both both(loop, *server, *client, "localhost");
    EXPECT_EQ(both.open(loop), good) << groups;
    if (good) continue;
    EXPECT_EQ(both.accepting.error.message(), "TLS: no suitable key share") << groups;
  }
  const auto other = make_server({.groups = "P-521"});
  const auto client = make_client({.groups = "P-521"});
  Both both(loop, *other, *client, "localhost");
  EXPECT_TRUE(both.open(loop)) << "an option for those who want others";
}

// A TLS 1.2 connection needs forward secrecy and an authenticated cipher.
TEST_P(TlsHandshake, OldCiphersAreRefused) {
  Loop loop(options());
  const auto server = make_server();
  for (const auto& [ciphers, good] : std::vector<std::pair<const char*, bool>>{
           {"ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256", false},
           {"AES128-GCM-SHA256:DHE-RSA-AES128-GCM-SHA256", false},
           {"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256", true},
           {"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305", true}}) {
    Link link(loop);
    SSL* const ssl = peer_client(TLS1_2_VERSION);
    ASSERT_EQ(SSL_set_cipher_list(ssl, ciphers), 1);
    TlsPeer peer(std::move(link.peer.fd), ssl);
    link.stream->set_transport(server->make_transport());
    link.start();
    EXPECT_TRUE(
        pump(loop, [&] { return peer.read(), link.handler.closes + link.handler.opens > 0; }));
    EXPECT_EQ(link.handler.opens, good ? 1 : 0) << ciphers;
    if (good) continue;
    EXPECT_EQ(link.handler.error.message(), "TLS: no shared cipher") << ciphers;
  }
}

TEST_P(TlsHandshake, ARenewedCertificateIsForThoseThatComeLater) {
  Loop loop(options());
  const auto server = make_server({.protocols = {"mine"}});
  const auto client = make_client({.protocols = {"mine"}});
  Both before(loop, *server, *client, "localhost");
  ASSERT_TRUE(before.open(loop));
  EXPECT_EQ(server->renew({}).error(), Errc::no_certificate);
  Both same(loop, *server, *client, "localhost", 1);
  EXPECT_TRUE(same.open(loop)) << "nothing has changed";
  const Wanted wanted{.name = "other.test", .address = ""};
  ASSERT_TRUE(server->renew(Authority::known().issue(wanted).credentials()));
  Both after(loop, *server, *client, "other.test");
  EXPECT_TRUE(after.open(loop)) << after.connecting.error.message();
  EXPECT_EQ(after.server_side().protocol(), "mine");
  Both stale(loop, *server, *client, "localhost", 2);
  EXPECT_TRUE(stale.fail(loop));
  before.far->write("still there");
  EXPECT_TRUE(run_bounded(loop, [&] { return before.accepting.got == "still there"; }));
}

TEST_P(TlsHandshake, WithoutACommonProtocolThereIsNoConnection) {
  Loop loop(options());
  const auto server = make_server({.protocols = {"http/1.1"}});
  const auto client = make_client({.protocols = {"h2"}});
  Both both(loop, *server, *client, "localhost");
  ASSERT_TRUE(both.fail(loop));
  EXPECT_EQ(both.accepting.error.message(), "TLS: no application protocol");
  EXPECT_NE(both.connecting.error.message().find("no application protocol"), std::string::npos);
  const auto silent = make_client();
  Both without(loop, *server, *silent, "localhost");
  EXPECT_TRUE(without.open(loop)) << "who offers none is served";
  EXPECT_EQ(without.server_side().protocol(), "");
}

TEST_P(TlsHandshake, TheServerPicksByName) {
  Loop loop(options());
  const auto server = make_server();
  const auto other = make_server(
      {.credentials = Authority::known().issue({.name = "other.test", .address = ""}).credentials(),
       .protocols = {"mine"}});
  std::vector<std::string> names;
  server->set_picker([&](std::string_view name) {
    names.emplace_back(name);
    return name == "other.test" ? other.get() : nullptr;
  });
  const auto client = make_client({.protocols = {"mine"}});
  for (const std::string host : {"other.test", "localhost", "127.0.0.1"}) {
    Both both(loop, *server, *client, host);
    EXPECT_TRUE(both.open(loop)) << host << ": " << both.connecting.error.message();
    EXPECT_EQ(both.client_side().protocol(), host == "other.test" ? "mine" : "");
  }
  EXPECT_EQ(names, (std::vector<std::string>{"other.test", "localhost"})) << "no SNI of addresses";
}

TEST_P(TlsHandshake, AnExceptionOfThePickerLeavesRun) {
  Loop loop(options());
  const auto server = make_server();
  server->set_picker([](std::string_view) -> ServerContext* { throw 3; });
  const auto client = make_client();
  Both both(loop, *server, *client, "localhost");
  EXPECT_THROW(static_cast<void>(run_to_end(loop)), int);
  EXPECT_TRUE(run_bounded(loop, [&] { return both.connecting.closes > 0; }));
}

TEST_P(TlsHandshake, WhoIsNotTheHostIsNotBelieved) {
  struct Case {
    PemFiles files;
    std::string host, reason;
  };
  const Authority stranger("stranger");
  const std::vector<Case> cases = {
      {stranger.issue(), "localhost", "unable to get local issuer certificate"},
      {Authority::localhost(), "example.org", "hostname mismatch"},
      {Authority::localhost(), "127.0.0.2", "IP address mismatch"},
      {Authority::known().issue({.from = -3, .until = -1}), "localhost", "certificate has expired"},
      {Authority::known().issue({.from = 1, .until = 2}), "localhost",
       "certificate is not yet valid"},
  };
  for (const Case& each : cases) {
    SCOPED_TRACE(each.reason);
    Loop loop(options());
    const auto server = make_server({.credentials = each.files.credentials()});
    const auto client = make_client();
    Both both(loop, *server, *client, each.host);
    ASSERT_TRUE(both.fail(loop));
    EXPECT_EQ(both.connecting.error.message(), "certificate not accepted: " + each.reason);
    EXPECT_TRUE(is_verification(both.connecting.error));
    EXPECT_FALSE(is_verification(both.accepting.error));
    EXPECT_NE(both.accepting.error.message().find("alert"), std::string::npos)
        << both.accepting.error.message();
    const auto trusting = make_client({.verify = false});
    Both believed(loop, *server, *trusting, each.host);
    EXPECT_TRUE(believed.open(loop));
  }
}

TEST_P(TlsHandshake, TheSystemsStoreIsTheDefault) {
  Loop loop(options());
  const auto server = make_server();
  const auto client = get(ClientContext::make({}));
  Both both(loop, *server, *client, "localhost");
  EXPECT_TRUE(both.fail(loop));
  EXPECT_TRUE(is_verification(both.connecting.error)) << both.connecting.error.message();
  ::setenv("SSL_CERT_FILE", Authority::known().file().c_str(), 1);
  const auto informed = get(ClientContext::make({}));
  ::unsetenv("SSL_CERT_FILE");
  Both believed(loop, *server, *informed, "localhost");
  EXPECT_TRUE(believed.open(loop)) << believed.connecting.error.message();
}

// Connects and closes in the regular way, because the session could not be resumed otherwise.
// Returns whether this connection resumed an earlier session.
bool resumes(Loop& loop, ServerContext& server, ClientContext& client, const std::string& host,
             std::uint16_t port = 0) {
  Both both(loop, server, client, host, port);
  EXPECT_TRUE(both.open(loop)) << both.connecting.error.message();
  EXPECT_EQ(both.server_side().resumed(), both.client_side().resumed());
  both.far->close();
  EXPECT_TRUE(run_bounded(loop, [&] { return both.accepting.closes > 0; }));
  return both.client_side().resumed();
}

TEST_P(TlsHandshake, SessionsGoOn) {
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    Loop loop(options());
    const std::string key = new_ticket_key();
    const auto server = make_server({.ticket_key = key});
    const auto sibling = make_server({.ticket_key = key});
    const auto stranger = make_server();
    const auto client = make_client();
    SSL_CTX_set_max_proto_version(client->native(), version);
    EXPECT_FALSE(resumes(loop, *server, *client, "localhost"));
    EXPECT_TRUE(resumes(loop, *server, *client, "localhost"));
    EXPECT_TRUE(resumes(loop, *sibling, *client, "localhost"));
    EXPECT_FALSE(resumes(loop, *server, *client, "127.0.0.1")) << "another host";
    EXPECT_FALSE(resumes(loop, *server, *client, "localhost", 1)) << "another service";
    EXPECT_TRUE(resumes(loop, *server, *client, "localhost", 1));
    EXPECT_FALSE(resumes(loop, *stranger, *client, "localhost"));
  }
}

TEST_P(TlsHandshake, TheOldestSessionMakesRoom) {
  Loop loop(options());
  const auto server = make_server();
  const auto client = make_client();
  EXPECT_FALSE(resumes(loop, *server, *client, "localhost"));
  for (std::uint16_t port = 1; port <= 64; ++port) {
    EXPECT_FALSE(resumes(loop, *server, *client, "127.0.0.1", port));
  }
  EXPECT_TRUE(resumes(loop, *server, *client, "127.0.0.1", 1)) << "64 are kept";
  EXPECT_FALSE(resumes(loop, *server, *client, "localhost"));
}

TEST_P(TlsHandshake, SessionsDoNotGoOnWhereThatIsOff) {
  for (const bool at_server : {false, true}) {
    Loop loop(options());
    const auto server = make_server({.resumption = at_server});
    const auto client = make_client({.resumption = !at_server});
    for (int i = 0; i < 2; ++i) {
      Both both(loop, *server, *client, "localhost");
      EXPECT_TRUE(both.open(loop));
      EXPECT_FALSE(both.client_side().resumed());
    }
  }
}

TEST_P(TlsHandshake, NoTicketIsGivenWhereSessionsDoNotGoOn) {
  for (const bool resumption : {false, true}) {
    Loop loop(options());
    TlsLink link(loop, Carrier::plain);
    const auto server = make_server({.resumption = resumption});
    link.peer =
        std::make_unique<TlsPeer>(std::move(link.peer->socket.fd), peer_client(TLS1_3_VERSION));
    link.stream->set_transport(server->make_transport());
    link.start(loop);
    link.stream->write("x");
    EXPECT_TRUE(pump(loop, [&] { return link.peer->read(), link.peer->got == "x"; }));
    EXPECT_EQ(SSL_SESSION_is_resumable(SSL_get_session(link.peer->ssl)) == 1, resumption);
  }
}

// The peer's first bytes come together with its last handshake message. The first step of the
// handshake already gets both.
TEST_P(TlsHandshake, WhatCameWithItIsReadWithoutAnotherEvent) {
  static TlsPeer* peer;
  Loop loop(options());
  TlsLink link(loop, Carrier::server_v1_3);
  peer = link.peer.get();
  SSL_CTX_set_info_callback(link.server->native(), [](const SSL*, int where, int) {
    if (where == SSL_CB_ACCEPT_LOOP) peer->read();
  });
  link.peer->write("hello");
  link.stream->start();
  ASSERT_TRUE(loop.poll());
  EXPECT_EQ(link.handler.opens, 1) << "in the first step";
  EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.got == "hello"; }));
}

TEST_P(TlsHandshake, HasALimit) {
  for (const bool serves : {false, true}) {
    const TimePoint start = monotonic_now();
    Loop loop(options());
    const auto server = make_server({.handshake_timeout = milliseconds(20)});
    const auto client = make_client({.handshake_timeout = milliseconds(20)});
    Link link(loop);
    if (serves) {
      link.stream->set_transport(server->make_transport());
    } else {
      client->secure(*link.stream, "localhost").value();
    }
    link.start();
    if (serves) link.peer.write("\x16");  // a byte of a ClientHello does not extend the time
    EXPECT_TRUE(run_bounded(loop, [&] { return link.handler.closes > 0; }));
    EXPECT_GE(monotonic_now() - start, milliseconds(20));
    EXPECT_EQ(link.handler.error, reactor::Errc::timed_out);
    EXPECT_EQ(link.handler.opens, 0);
  }
}

class DrainEcho final : public StreamHandler {
  void on_data(Stream& stream, std::span<std::byte> bytes) override { stream.write(bytes); }
};

// A server that drains ends each connection with close_notify, even during a handshake.
TEST_P(TlsHandshake, AServerDrainsAndHandsNothingOver) {
  struct Nobody final : HandOverTarget {
    HandOverReply send(int, std::span<const std::byte>) noexcept override {
      ++asked;
      return HandOverReply::taken;
    }
    int asked = 0;
  };
  for (const bool handed : {false, true}) {
    Loop loop(options());
    const auto context = make_server();
    ServerLimits limits;
    limits.transports = context.get();
    auto server = get(Server<DrainEcho>::listen(loop, get(Address::parse("127.0.0.1:0")), limits));
    const Address address = server->addresses().at(0);
    TlsPeer idle(get(Socket::connect(address)).release(), peer_client(TLS1_3_VERSION));
    TlsPeer opening(get(Socket::connect(address)).release(), peer_client(TLS1_3_VERSION));
    EXPECT_TRUE(pump(loop, [&] { return server->connections() == 2; }));
    idle.write("hello");
    EXPECT_TRUE(pump(loop, [&] { return idle.read(), idle.got == "hello"; }));
    bool done = false;
    Nobody successor;
    if (handed) {
      server->hand_over(successor, [&] { done = true; });
    } else {
      server->drain([&] { done = true; });
    }
    EXPECT_TRUE(pump(loop, [&] { return idle.read(), opening.read(), done; }));
    EXPECT_TRUE(pump(loop, [&] { return idle.read(), opening.read(), idle.end && opening.end; }));
    EXPECT_EQ(idle.failure + opening.failure, "");
    EXPECT_EQ(successor.asked, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, TlsHandshake, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::tls
