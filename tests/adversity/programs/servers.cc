// SPDX-License-Identifier: MIT
// A server that sends everything back, and its clients.
#include <sys/socket.h>

#include "reactor/net/server.h"
#include "tests/adversity/programs/world.h"

namespace reactor::programs {
namespace {

class ServerActor;

// What the server makes for each connection. Operations that wait for the actor run in its calls.
class Echo final : public StreamHandler {
 public:
  using Context = ServerActor;
  explicit Echo(ServerActor& actor) noexcept;
  Echo(const Echo&) = delete;
  Echo& operator=(const Echo&) = delete;
  ~Echo();
  void on_data(Stream& stream, std::span<std::byte> bytes) override;

 private:
  ServerActor& actor_;
};

class ServerActor final : public Actor {
 public:
  explicit ServerActor(World& world) : Actor(world) { renew(); }

  void apply(const Operation& operation) override {
    if (operation.action == Action::connect) connect();
    if (operation.action == Action::talk) talk(operation.amount);
    if (operation.action == Action::hang_up && !clients_.empty()) hang_up(operation.amount);
    if (operation.action == Action::drain) drain();
    if (operation.action == Action::renew_server) renew();
  }
  void end() override {
    for (const auto& client : clients_) client->stream->close();
    drain();
  }
  void check() override {
    require(drained_ == 1, Rule::drained, "it never called back");
    require(server_->connections() == 0, Rule::drained, "connections are left");
    for (const auto& client : clients_) require(client->closed, Rule::reason, "a client");
  }
  void check_now() override {
    const auto connections = static_cast<int>(server_->connections());
    require(handlers == connections, Rule::objects);
  }

  void on_echo() {
    Callback callback(*this);
    callback.finish();
  }

  int handlers = 0;  // of the server

  using Actor::world;

 private:
  struct Client final : StreamHandler {
    Client(World& owner, Socket socket) : world(owner) {
      stream = std::make_unique<Stream>(world.loop(), std::move(socket), *this, options);
    }
    void on_data(Stream&, std::span<std::byte> bytes) override {
      require(!closed, Rule::after_the_end, "a client");
      require(are_bytes_from(got, bytes), Rule::bytes, "of an echo");
      got += bytes.size();
      require(got <= sent, Rule::bytes, "an echo of what was not sent");
    }
    void on_close(Stream&, std::error_code) noexcept override {
      require(!std::exchange(closed, true), Rule::once, "on_close() of a client");
    }
    World& world;
    StreamOptions options;
    std::unique_ptr<Stream> stream;
    std::uint64_t sent = 0, got = 0;
    bool closed = false;
  };

  void connect() {
    if (draining_ || clients_.size() > 20) return;
    const Address address = server_->addresses().at(0);
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), address.data(), address.size()) != 0) return;
    clients_.push_back(std::make_unique<Client>(world(), Socket(std::move(fd))));
    if (world().callbacks == 0) clients_.back()->stream->start();
  }
  void talk(std::uint32_t amount) {
    for (const auto& client : clients_) {
      if (!client->stream->sends() || client->closed) continue;
      const std::vector<std::byte> bytes = bytes_from(client->sent, amount % 5000 + 1);
      client->sent += bytes.size();
      client->stream->write(bytes);
    }
  }
  void hang_up(std::uint32_t amount) {
    Stream& stream = *clients_[amount % clients_.size()]->stream;
    amount % 3 == 0 ? stream.abort() : stream.close();
  }
  void drain() {
    draining_ = true;
    server_->drain([this, server = servers_] {
      require(server == servers_, Rule::after_the_end, "done of a server that was destroyed");
      require(++drained_ == 1, Rule::drained, "twice");
      require(server_->connections() == 0, Rule::drained, "too early");
    });
  }
  // Also inside a callback of one of its connections, which ends with it.
  void renew() {
    ++servers_;
    draining_ = false;
    drained_ = 0;
    if (world().callbacks == 0) clients_.clear();
    server_.reset();
    require(handlers == 0, Rule::objects, "handlers outlive their server");
    server_ = Server<Echo>::listen(loop(), Address::loopback(0), ServerLimits{}, *this).value();
  }

  std::unique_ptr<Server<Echo>> server_;
  std::vector<std::unique_ptr<Client>> clients_;
  int servers_ = 0, drained_ = 0;
  bool draining_ = false;
};

Echo::Echo(ServerActor& actor) noexcept : actor_(actor) {
  ++actor_.handlers;
  ++actor_.world().handlers;
}
Echo::~Echo() {
  --actor_.handlers;
  --actor_.world().handlers;
}
void Echo::on_data(Stream& stream, std::span<std::byte> bytes) {
  stream.write(bytes);
  actor_.on_echo();  // this may be gone afterwards
}

}  // namespace

Actors make_servers(World& world) {
  Actors actors;
  for (int i = 0; i < 2; ++i) actors.push_back(std::make_unique<ServerActor>(world));
  return actors;
}

}  // namespace reactor::programs
