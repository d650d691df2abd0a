// SPDX-License-Identifier: MIT
// Allocation scenarios of Server<C>.
#include <fcntl.h>
#include <unistd.h>

#include <memory>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "reactor/net/server.h"
#include "tests/adversity/allocations/handlers.h"
#include "tests/adversity/allocations/scenarios.h"
#include "tests/adversity/allocations/scene.h"
#include "tests/support/proxy_headers.h"

namespace reactor::allocations {
namespace {

std::unique_ptr<Server<Echo>> serve(Scene& scene, ServerLimits limits = {}) {
  return scene.get(Server<Echo>::listen(scene.loop, Address::loopback(0), std::move(limits)));
}

Address address_of(const Server<Echo>& server) {
  const Unfailing unfailing;
  return server.addresses().at(0);
}

void drain(Scene& scene, ServerBase& server) {
  bool drained = false;
  server.drain([&] { drained = true; });
  scene.until([&] { return drained; });
}

// Runs `steps`. If they fail, the server still ends well: it has forgotten the connections that it
// lost, and a drain works although one may have failed before. `steps` own the clients.
template <class Steps>
void then_drain(Scene& scene, ServerBase& server, Steps steps) {
  try {
    steps();
  } catch (const Wrong&) {
    throw;
  } catch (...) {
    Faults::end();
    Scene later(scene.loop);
    drain(later, server);
    throw;
  }
}

// The receiver of connections that are handed over. It keeps copies of their descriptors and the
// state from their handlers.
class Mailbox final : public HandOverTarget {
 public:
  HandOverReply send(int fd, std::span<const std::byte> state) noexcept override {
    const Unfailing unfailing;
    if (busy) return HandOverReply::busy;
    mail.emplace_back(UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)),
                      std::vector<std::byte>(state.begin(), state.end()));
    return HandOverReply::taken;
  }
  std::vector<std::pair<UniqueFd, std::vector<std::byte>>> mail;
  bool busy = false;
};

}  // namespace

void net_server(Scene& scene) {
  auto server = serve(scene);
  then_drain(scene, *server, [&] {
    Client first(scene, address_of(*server)), second(scene, address_of(*server));
    first.write("one");
    first.await("one");
    second.write("two");
    second.await("two");
    drain(scene, *server);
    first.await_end();
    second.await_end();
  });
}

// A server without a listener ends at once.
void net_server_empty(Scene& scene) {
  auto server = scene.get(Server<Echo>::adopt(scene.loop, {}, ServerLimits{}));
  then_drain(scene, *server, [&] { drain(scene, *server); });
}

void net_server_proxy(Scene& scene) {
  ServerLimits limits;
  limits.proxy.protocol = ProxyProtocol::v2;
  limits.proxy.allow_from = {Network::parse("127.0.0.0/8").value()};
  auto server = serve(scene, std::move(limits));
  std::string header;
  {
    const Unfailing unfailing;
    header = proxy_v2(0x21, 0x11, kProxyV4);
  }
  then_drain(scene, *server, [&] {
    Client client(scene, address_of(*server)), wrong(scene, address_of(*server));
    wrong.write("GET / HTTP/1.1\r\n\r\n");
    scene.until([&] { return server->proxy_stats().malformed == 1; });
    client.write(header.substr(0, 20));
    client.write(header.substr(20));
    client.write("text");
    client.await("text");
    scene.check(server->proxy_stats().passed == 1, "the header was taken");
    drain(scene, *server);
  });
}

// No address may send a header, so every connection is turned away.
void net_server_proxy_closed(Scene& scene) {
  ServerLimits limits;
  limits.proxy.protocol = ProxyProtocol::v2;
  auto server = serve(scene, std::move(limits));
  then_drain(scene, *server, [&] {
    Client client(scene, address_of(*server));
    scene.until([&] { return server->proxy_stats().not_allowed == 1; });
    drain(scene, *server);
  });
}

void net_server_hand_over(Scene& scene) {
  auto old = serve(scene), fresh = serve(scene);
  Mailbox mailbox;
  Client first(scene, address_of(*old)), second(scene, address_of(*old));
  first.write("a");
  first.await("a");
  second.write("b");
  second.await("b");
  bool done = false;
  mailbox.busy = true;
  old->hand_over(mailbox, [&] { done = true; });
  scene.get(scene.loop.poll());
  mailbox.busy = false;
  old->offer_again();
  scene.until([&] { return done; });
  then_drain(scene, *fresh, [&] {
    for (auto& [fd, state] : mailbox.mail) {
      scene.get(fresh->adopt_connection(Socket(std::move(fd)), state));
    }
    first.write("c");
    first.await("ac");
    second.write("d");
    second.await("bd");
  });
}

// A failed hand-over can be repeated, and one without connections ends at once.
void net_server_hand_over_again(Scene& scene) {
  auto old = serve(scene);
  Mailbox mailbox;
  bool done = false;
  const auto hand_over = [&] {
    old->offer_again();
    old->hand_over(mailbox, [&done] { done = true; });
  };
  try {
    hand_over();
  } catch (const std::bad_alloc&) {
    Faults::end();
    hand_over();
    Scene(scene.loop).until([&] { return done; });
    throw;
  }
  then_drain(scene, *old, [&] { scene.until([&] { return done; }); });
}

// Uses limits, placement, counters, and the listener of a sibling.
void net_server_steered(Scene& scene) {
  auto server = serve(scene), sibling = serve(scene);
  Counter counter;
  bool reached = false;
  int rooms = 0;
  server->set_counter(counter);
  const Socket borrowed = scene.get(Socket::listen(Address::loopback(0), {}));
  const auto steer = [&] {
    server->set_limit(2, [&] { reached = true; });
    server->set_on_room([&] { ++rooms; });
    server->set_placement([](const Socket&) { return true; });
    server->share_listeners();
    scene.get(server->borrow(borrowed.fd()));
  };
  const auto use = [&] {
    Client first(scene, scene.get(borrowed.local())), second(scene, address_of(*server));
    first.write("one");
    first.await("one");
    second.write("two");
    second.await("two");
    scene.until([&] { return reached; });
  };
  try {
    steer();
  } catch (const std::bad_alloc&) {  // nothing has changed, so a second try works
    Faults::end();
    server->give_back(borrowed.fd());
    // As many as the limit, which calls `reached` only if set_limit() succeeded.
    for (int i = 0; i < 2; ++i) {
      Client client(scene, address_of(*server));
      client.write("x");
      client.await("x");
    }
    steer();
    use();
    throw;
  }
  then_drain(scene, *server, use);
  server->give_back(borrowed.fd());
  drain(scene, *server);
}

}  // namespace reactor::allocations
