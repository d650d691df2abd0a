// SPDX-License-Identifier: MIT
#include "servers/echo.h"

#include "reactor/net/server.h"

namespace servers {
namespace {

// At the end, for who got in but was not heard yet: what it says is on its way.
constexpr reactor::Duration kFirstWord = std::chrono::seconds(1);

// What has not come back yet is still in the kernel, or in the queue, with which none migrates.
class Handler : public reactor::StreamHandler {
  reactor::Migration on_migrate(reactor::Stream&, std::vector<std::byte>&) override {
    return reactor::Migration::now;
  }
};

// Of all connections that said something.
class Echo final : public Handler {
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    stream.write_now(bytes);
  }
};

// Of one that did not yet.
class FirstWord final : public Handler {
 public:
  using Context = Echo;
  explicit FirstWord(Echo& echo) noexcept : echo_(echo) {}

  // For one that said something before it came here from another worker.
  [[nodiscard]] reactor::StreamHandler* adopting_handler() noexcept { return &echo_; }

 private:
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    stream.write_now(bytes);
    stream.set_handler(echo_);
    if (stream.asked_to_end()) stream.close();
  }
  void on_shutdown(reactor::Stream& stream) override {
    stream.set_deadline(reactor::saturating_add(stream.loop().now(), kFirstWord));
  }
  void on_timeout(reactor::Stream& stream) override { stream.close(); }

  Echo& echo_;
};

}  // namespace

int serve_echo(reactor::prefork::Worker& worker, const Service& service) {
  reactor::ServerLimits limits;
  limits.max_connections = service.max_connections;
  limits.proxy = service.proxy;
  Echo echo;
  auto server =
      reactor::Server<FirstWord>::adopt(worker.loop(), worker.listeners(), std::move(limits), echo)
          .value();
  return worker.serve(*server);
}

}  // namespace servers
