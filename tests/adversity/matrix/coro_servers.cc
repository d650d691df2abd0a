// SPDX-License-Identifier: MIT
// The callbacks of a coro::Server: the function that makes a connection's coroutine, and that
// coroutine.
#include <array>
#include <deque>

#include "reactor/coro/coro.h"
#include "tests/adversity/matrix/scene.h"
#include "tests/support/loop_test.h"

namespace reactor::adversity {
namespace {

class OfCoroServer final : public Subject {
 public:
  using Subject::Subject;
  void prepare() override {
    server_ = get(coro::Server::listen(scene_.loop(), std::array{Address::loopback(0)},
                                       scene_.limits(), [this](coro::Stream& stream) {
                                         reached("handler");
                                         return serve(std::move(stream));
                                       }));
  }
  void provoke() override {
    asks_ = true;
    Connection& client = clients_.emplace_back();
    scene_.join(client, get(Socket::connect(server_->addresses().at(0))).release());
    client.far->write(scene_.greeting());
    client.far->write("x");
  }
  [[nodiscard]] bool repeats() const override {
    return server_ != nullptr && !server_->addresses().empty();
  }
  void far_side() override {
    for (Connection& client : clients_) client.far_read();
  }
  // Whether each client has got the answer and the end.
  [[nodiscard]] bool satisfied() override {
    for (const Connection& client : clients_) {
      if (!client.far_over()) return false;
      const bool answered = client.far->got == "answer";
      EXPECT_TRUE(answered || scene_.cell().action == "throw") << "got " << client.far->got;
    }
    return true;
  }
  void destroy() override {}
  [[nodiscard]] Service* service() override { return server_.get(); }
  void destroy_server() override { server_.reset(); }

 private:
  void reached(std::string_view call) {
    if (scene_.cell().call() == call && std::exchange(asks_, false)) called();
  }
  coro::Task<void> serve(coro::Stream stream) {
    reached("begin");
    std::array<std::byte, 1> buffer;
    EXPECT_EQ((co_await stream.read(buffer)).value(), 1U);
    reached("read");
    (co_await stream.write("answer")).value();
    reached("wrote");
  }

  bool asks_ = false;
  std::deque<Connection> clients_;
  std::unique_ptr<coro::Server> server_;
};

constexpr std::array kCoroServerKinds = {
    Kind{"coserver.handler", &make_subject<OfCoroServer>},
    Kind{"coserver.begin", &make_subject<OfCoroServer>},
    Kind{"coserver.read", &make_subject<OfCoroServer>},
    Kind{"coserver.wrote", &make_subject<OfCoroServer>},
};

}  // namespace

std::span<const Kind> coro_server_kinds() { return kCoroServerKinds; }

}  // namespace reactor::adversity
