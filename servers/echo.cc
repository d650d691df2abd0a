// SPDX-License-Identifier: MIT
#include "servers/echo.h"

#include "reactor/net/server.h"

namespace servers {
namespace {

class Echo final : public reactor::StreamHandler {
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    stream.write_now(bytes);
  }
  // What has not come back yet is still in the kernel, or in the queue, with which none goes.
  reactor::Migration on_migrate(reactor::Stream&, std::vector<std::byte>&) override {
    return reactor::Migration::now;
  }
};

}  // namespace

int serve_echo(reactor::prefork::Worker& worker, const Service& service) {
  reactor::ServerLimits limits;
  limits.max_connections = service.max_connections;
  limits.proxy = service.proxy;
  auto server =
      reactor::Server<Echo>::adopt(worker.loop(), worker.listeners(), std::move(limits)).value();
  return worker.serve(*server);
}

}  // namespace servers
