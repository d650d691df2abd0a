// SPDX-License-Identifier: MIT
// Allocation scenarios of dns (c-ares) and tls (OpenSSL). Another sweep covers the allocations of
// these two libraries themselves.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/coro/coro.h"
#include "reactor/dns/host_connector.h"
#include "reactor/dns/resolver.h"
#include "reactor/net/server.h"
#include "reactor/tls/client_context.h"
#include "reactor/tls/server_context.h"
#include "tests/adversity/allocations/handlers.h"
#include "tests/adversity/allocations/scenarios.h"
#include "tests/adversity/allocations/scene.h"
#include "tests/support/name_server.h"
#include "tests/tls/certificates.h"

namespace reactor::allocations {
namespace {

dns::ResolverOptions asking(const Own<NameServer>& names) {
  dns::ResolverOptions options;
  options.servers = {names->address()};
  options.try_timeout = std::chrono::seconds(5);
  options.tries = 1;
  options.configuration = "/dev/null";
  return options;
}

}  // namespace

// Resolves a name by UDP, by TCP, and without a server.
void dns_resolver(Scene& scene) {
  const Own<NameServer> names(scene.loop);
  {
    const Unfailing unfailing;
    const Address first = Address::parse("192.0.2.1:0").value();
    names->table["a.test"] = {.addresses = {first}};
    names->table["b.test"] = {.addresses = {first}, .mood = NameServer::Mood::truncates};
  }
  auto resolver = scene.get(dns::Resolver::create(scene.loop, asking(names)));
  int found = 0;
  std::vector<dns::Query> queries;
  for (const char* const name : {"a.test", "b.test", "localhost", "127.0.0.1"}) {
    queries.push_back(
        resolver->resolve(name, 80, dns::Family::v4, [&](Result<std::vector<Address>> result) {
          if (result) ++found;
          scene.tell(result.error());
        }));
  }
  scene.until([&] { return found == 4; });
}

void dns_host_connector(Scene& scene) {
  const Own<NameServer> names(scene.loop);
  const Socket listening = scene.get(Socket::listen(Address::loopback(0), {}));
  const Address address = scene.get(listening.local());
  {
    const Unfailing unfailing;
    names->table["a.test"] = {.addresses = {address}};
  }
  auto resolver = scene.get(dns::Resolver::create(scene.loop, asking(names)));
  bool connected = false;
  auto connector = scene.get(dns::HostConnector::connect(
      *resolver, "a.test", address.port(), ConnectOptions{}, [&](Result<Socket> result) {
        connected = result.has_value();
        scene.tell(result.error());
      }));
  scene.until([&] { return connected; });
}

namespace {

struct Contexts {
  explicit Contexts(Scene& scene, bool resumption = true) {
    tls::ServerOptions options;
    options.credentials = credentials();
    options.protocols = {"echo"};
    options.resumption = resumption;
    server = scene.get(tls::ServerContext::make(options));
    client = scene.get(tls::ClientContext::make(
        {.ca_file = tls::Authority::known().file(), .protocols = {"echo"}}));
  }
  static tls::Credentials credentials() { return tls::Authority::localhost().credentials(); }
  std::unique_ptr<tls::ServerContext> server;
  std::unique_ptr<tls::ClientContext> client;
};

}  // namespace

void tls_contexts(Scene& scene) {
  const Contexts contexts(scene);
  contexts.server->set_picker([](std::string_view) { return nullptr; });
  scene.get(contexts.server->renew(Contexts::credentials()));
  const auto transport = contexts.server->make_transport();
  const auto other = scene.get(contexts.client->transport_for("localhost", 443));
}

// Makes two connections. The second one resumes the session of the first.
void tls_server(Scene& scene) {
  const Contexts contexts(scene);
  contexts.server->set_picker([](std::string_view) { return nullptr; });
  ServerLimits limits;
  limits.transports = contexts.server.get();
  auto server = scene.get(Server<Echo>::listen(scene.loop, Address::loopback(0), limits));
  Address address;
  {
    const Unfailing unfailing;
    address = server->addresses().at(0);
  }
  const StreamOptions options;
  for (int i = 0; i < 2; ++i) {
    Teller handler(scene);
    std::size_t got = 0;
    handler.when_data = [&](Stream&, std::span<std::byte> bytes) { got += bytes.size(); };
    Stream stream(scene.loop, scene.get(Socket::connect(address)), handler, options);
    scene.get(contexts.client->secure(stream, "localhost"));
    stream.start();
    static const std::string text(200'000, 'x');
    stream.write(text);
    scene.until([&] {
      if (handler.closed) scene.tell(std::make_error_code(std::errc::connection_reset));
      return got == text.size();
    });
    stream.close();
    scene.until([&] { return handler.closed; });
  }
}

}  // namespace reactor::allocations
