// SPDX-License-Identifier: MIT
#include "servers/echo.h"

#include "reactor/net/server.h"

namespace servers {
namespace {

// At the end, for who got in but was not heard yet: what it says is on its way.
constexpr reactor::Duration kFirstWord = std::chrono::seconds(1);

class Echo final : public reactor::StreamHandler {
  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    if (state_ != State::heard) [[unlikely]] {
      answer_first_word(stream, bytes);
      return;
    }
    stream.write_now(bytes);
  }
  void on_shutdown(reactor::Stream& stream) override {
    if (state_ == State::heard) {
      stream.close();
    } else {
      stream.set_deadline(reactor::saturating_add(stream.loop().now(), kFirstWord));
      state_ = State::ending;
    }
  }
  void on_timeout(reactor::Stream& stream) override { stream.close(); }
  // What has not come back yet is still in the kernel, or in the queue, with which none goes.
  reactor::Migration on_migrate(reactor::Stream&, std::vector<std::byte>& state) override {
    state.assign(1, static_cast<std::byte>(state_));
    return reactor::Migration::now;
  }
  void on_adopt(reactor::Stream&, std::span<const std::byte> state) override {
    if (!state.empty() && state[0] == static_cast<std::byte>(State::heard)) state_ = State::heard;
  }

 private:
  enum class State : unsigned char { unheard, heard, ending };

  [[gnu::noinline]] void answer_first_word(reactor::Stream& stream, std::span<std::byte> bytes) {
    stream.write_now(bytes);
    if (state_ == State::ending) stream.close();
    state_ = State::heard;
  }

  State state_ = State::unheard;
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
