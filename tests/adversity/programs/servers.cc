// SPDX-License-Identifier: MIT
// A server that sends everything back, and its clients.
#include <sys/socket.h>

#include <algorithm>

#include "reactor/net/datagram/internal/datagram_socket.h"
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
  void on_open(Stream& stream) override;
  void on_data(Stream& stream, std::span<std::byte> bytes) override;
  void on_end(Stream& stream) override;
  void on_shutdown(Stream& stream) override;
  void on_close(Stream& stream, std::error_code error) noexcept override;

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
  [[nodiscard]] bool waits() const override {
    return std::ranges::any_of(clients_, [](const auto& client) { return client->waits(); });
  }
  void end() override {
    for (const auto& client : clients_) client->stream->close();
    drain();
  }
  void check() override {
    require(drained_ == drains_, Rule::drained, "it never called back");
    require(server_->connections() == 0, Rule::drained, "connections are left");
    for (const auto& client : clients_) require(client->closed, Rule::reason, "a client");
  }
  void check_now() override {
    const auto connections = static_cast<int>(server_->connections());
    require(handlers == connections, Rule::objects);
  }

  void call_back(Callback::Kind kind = Callback::Kind::may_throw) {
    Callback(*this, world(), kind).finish();
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
      require(got >= owed, Rule::whole, "of what a server had been sent when it began to drain");
    }
    // Whether more of its echo has to come.
    [[nodiscard]] bool waits() const { return !closed && got < (counts ? sent : owed); }
    // The server is asked to end now: it echoes all that has come to its kernel, which is what that
    // has acknowledged. A busy machine brings the rest later, on loopback too.
    void server_ends() {
      if (!std::exchange(counts, false) || closed) return;
      if (stream->queued() == 0 && sent - got < kMost) owed = sent - unread_bytes(stream->fd());
    }
    // Nothing is promised from here on.
    void release() {
      counts = false;
      owed = 0;
    }
    static constexpr std::uint64_t kMost = 16'384;  // less than one read of the server
    World& world;
    StreamOptions options;
    std::unique_ptr<Stream> stream;
    std::uint64_t sent = 0, got = 0;
    std::uint64_t owed = 0;  // of a server that goes away
    bool counts = true;      // all of it is owed
    bool closed = false;
  };

  void connect() {
    if (draining_ || clients_.size() > 20) return;
    const Address address = server_->addresses().at(0);
    UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), address.data(), address.size()) != 0) return;
    clients_.push_back(std::make_unique<Client>(world(), Socket(std::move(fd))));
    clients_.back()->stream->start();
  }
  void talk(std::uint32_t amount) {
    for (const auto& client : clients_) {
      if (!client->stream->sends() || client->closed) continue;
      const std::vector<std::byte> bytes = bytes_from(client->sent, amount % 5000 + 1);
      client->sent += bytes.size();
      client->stream->write(bytes);
      if (!client->counts) client->release();  // the server may have closed, and then resets
    }
  }
  void hang_up(std::uint32_t amount) {
    Client& client = *clients_[amount % clients_.size()];
    client.release();
    Stream& stream = *client.stream;
    amount % 3 == 0 ? stream.abort() : stream.close();
  }
  void drain() {
    draining_ = true;
    for (const auto& client : clients_) client->server_ends();
    server_->drain([this, server = servers_, call = ++drains_] {
      Callback callback(*this, world());
      require(server == servers_, Rule::after_the_end, "done of a server that was destroyed");
      require(call == drains_, Rule::drained, "the callable was replaced");
      require(std::exchange(drained_, call) < call, Rule::drained, "twice");
      require(server_->connections() == 0, Rule::drained, "too early");
      callback.finish();
      require(server != 0, Rule::drained, "the callable did not outlive its call");
    });
  }
  // Also inside a callback of one of its connections, which ends with it.
  void renew() {
    ++servers_;
    draining_ = false;
    for (const auto& client : clients_) client->release();
    if (world().callbacks == 0) clients_.clear();
    server_.reset();
    require(handlers == 0, Rule::objects, "handlers outlive their server");
    server_ = Server<Echo>::listen(loop(), Address::loopback(0), ServerLimits{}, *this).value();
  }

  std::unique_ptr<Server<Echo>> server_;
  std::vector<std::unique_ptr<Client>> clients_;
  int servers_ = 0;
  int drains_ = 0, drained_ = 0;  // calls of drain(), and the last that called back
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
// This may be gone after each call_back().
void Echo::on_open(Stream&) { actor_.call_back(); }
void Echo::on_data(Stream& stream, std::span<std::byte> bytes) {
  stream.write(bytes);
  actor_.call_back();
}
void Echo::on_end(Stream& stream) {
  stream.close();
  actor_.call_back();
}
void Echo::on_shutdown(Stream& stream) {
  stream.close();
  actor_.call_back();
}
void Echo::on_close(Stream&, std::error_code) noexcept {
  actor_.call_back(Callback::Kind::is_noexcept);
}

}  // namespace

Actors make_servers(World& world) {
  Actors actors;
  for (int i = 0; i < 2; ++i) actors.push_back(std::make_unique<ServerActor>(world));
  return actors;
}

}  // namespace reactor::programs
