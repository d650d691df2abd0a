// SPDX-License-Identifier: MIT
// The callbacks of http: those of a server's options, a Responder, an EventStream, and an upgraded
// connection.
#include <array>
#include <string>

#include "reactor/http/event_stream.h"
#include "reactor/http/server.h"
#include "reactor/net/internal/hand_over_message.h"
#include "tests/adversity/matrix/scene.h"
#include "tests/support/loop_test.h"

namespace reactor::adversity {
namespace {

using http::Content;
using http::Request;
using http::Response;

class OfHttp final : public Subject {
 public:
  using Subject::Subject;

  void prepare() override {
    http::Options options;
    options.transport = scene_.limits();
    options.transport.stream = scene_.settings();
    options.transport.listen.unsent_limit = 16 * 1024;  // makes a large answer wait in the Stream
    options.drain_spread = Duration::zero();
    options.on_head = [this](const Request&, Response&) {
      const Content content = is("body") ? Content::stream : Content::collect;
      if (is("head")) called();
      return content;
    };
    options.on_adopt_upgraded = [this] {
      if (is("adopt_upgraded")) called();
      return &upgraded_;
    };
    server_ = get(http::Server::listen(
        scene_.loop(), Address::loopback(0),
        [this](const Request&, Response& response) { answer(response); }, std::move(options)));
  }

  void provoke() override {
    if (is("drained")) {
      if (!std::exchange(drains_, true)) server_->drain(acting());
      return;
    }
    if (is("handed_over")) {
      if (!std::exchange(drains_, true)) server_->hand_over(scene_.nobody(), acting());
      return;
    }
    if (adopts()) return adopt();
    if (is("limit") && !other_) server_->set_limit(1, acting());
    if (is("placement") && !other_) set_placement(acting());
    Connection& client = clients_.emplace_back();
    scene_.join(client, get(Socket::connect(server_->addresses().at(0))).release());
    client.far->write(scene_.greeting());
    client.far->write(request());
  }
  [[nodiscard]] bool repeats() const override {
    if (is("drained") || is("handed_over")) return scene_.cell().action == "replace";
    return server_ != nullptr && !server_->addresses().empty();
  }
  void far_side() override {
    if (server_ != nullptr && server_->addresses().empty()) {  // it is draining
      responder_ = {};
      events_.reset();
    }
    for (Connection& client : clients_) {
      client.far_read();
      if ((is("close") || close_clients_) && !client.far->got.empty())
        client.far->socket.fd.reset();
    }
  }
  // Whether each client that waits for an answer has got a whole one.
  [[nodiscard]] bool satisfied() override {
    if (!is("request") && !is("head") && !is("placement") && !is("limit")) return true;
    const bool may_be_refused = is("placement");  // if its callback threw
    for (const Connection& client : clients_) {
      const bool answered = client.far->got.find("\r\n\r\n") != std::string::npos;
      if (!answered && !(may_be_refused && client.far_over())) return false;
    }
    return true;
  }

  void destroy() override {
    if (is("drained") || is("handed_over")) return server_->drain({});
    if (is("limit")) return server_->set_limit(0, {});
    if (is("placement")) return server_->set_placement({});
    responder_ = {};
    events_.reset();
  }
  void replace() override {
    other_ = true;
    if (is("drained") || is("handed_over")) server_->drain(replacing());
    if (is("limit")) server_->set_limit(1, replacing());
    if (is("placement")) set_placement(replacing());
    if (is("body")) responder_.on_body([this](std::string_view, bool) { replaced(); });
    if (is("events_drain")) {
      events_->on_drain(replacing());
      fill_events();
    }
    if (is("drain")) {
      responder_.on_drain(replacing());
      fill();
    }
  }
  [[nodiscard]] Service* service() override { return server_.get(); }
  void destroy_server() override { server_.reset(); }

 private:
  struct Upgraded final : StreamHandler {
    explicit Upgraded(OfHttp& owner) : subject(owner) {}
    void on_open(Stream&) override {
      if (subject.is("upgraded_hand_over")) return subject.hand_over_soon();
      if (subject.is("upgraded_open")) subject.called();  // may destroy this
    }
    HandOver on_hand_over(Stream&, std::vector<std::byte>&) override {
      // After an exception the server asks again.
      if (subject.is("upgraded_hand_over") && !std::exchange(asked, true)) subject.called();
      return HandOver::no;
    }
    void on_adopt(Stream&, std::span<const std::byte>) override {
      if (subject.is("upgraded_adopt")) subject.called();
    }
    void on_data(Stream&, std::span<std::byte>) override {
      if (subject.is("upgraded_data")) subject.called();
    }
    OfHttp& subject;
    bool asked = false;
  };

  [[nodiscard]] bool is(std::string_view call) const { return scene_.cell().call() == call; }
  [[nodiscard]] bool upgrades() const { return scene_.cell().call().starts_with("upgraded"); }
  [[nodiscard]] bool adopts() const { return is("adopt_upgraded") || is("upgraded_adopt"); }
  // Gives the server a connection that was upgraded in another process.
  void adopt() {
    FdPair pair = make_tcp_pair();
    scene_.join(clients_.emplace_back(), std::move(pair.far), false);
    server_
        ->adopt_connection(Socket(std::move(pair.near)),
                           HandOverMessage::encode(nullptr, HandledBy::other, {}))
        .value();
  }
  void hand_over_soon() {
    handing_over_ = scene_.loop().deferred([this] { server_->hand_over(scene_.nobody(), {}); });
    handing_over_.schedule();
  }
  void set_placement(Callback<void()> call) {
    server_->set_placement([call = std::move(call)](const Socket&) mutable {
      call();
      return true;
    });
  }
  [[nodiscard]] std::string request() const {
    if (upgrades()) {
      return "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nmore";
    }
    if (is("body") || is("head")) {
      return "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    }
    return "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
  }

  void answer(Response& response) {
    EXPECT_NE(server_, nullptr) << "the server was destroyed";
    response.body("OK\n");
    if (is("request")) return called();
    if (upgrades()) {
      response.upgrade("x", upgraded_);
      return;
    }
    if (is("body") || is("drain") || is("close")) return defer(response);
    if (is("events_drain")) {
      events_.emplace(response.defer());
      events_->on_drain(acting());
      return fill_events();
    }
    if (is("events_close")) {
      events_.emplace(response.defer());
      events_->on_close(acting());
      events_->send("hello");
      close_clients_ = true;
    }
  }
  void defer(Response& response) {
    responder_ = response.defer();
    if (is("body")) {
      responder_.on_body([call = acting()](std::string_view, bool) mutable {
        if (call) std::exchange(call, {})();
      });
      return;
    }
    responder_.begin(response);
    if (is("close")) responder_.on_close(acting());
    if (is("drain")) responder_.on_drain(acting());
    is("drain") ? fill() : responder_.write("part");
  }
  // Writes until the queue is so long that on_drain() is owed. One big text may fit into the
  // kernel's buffers.
  void fill() {
    for (int i = 0; i < 50 && responder_.writable(); ++i) responder_.write(big_text());
  }

  void fill_events() {
    for (int i = 0; i < 50 && events_->writable(); ++i) events_->send(big_text());
  }

  bool other_ = false, drains_ = false, close_clients_ = false;
  Upgraded upgraded_{*this};
  std::deque<Connection> clients_;
  std::unique_ptr<http::Server> server_;
  http::Responder responder_;
  std::optional<http::EventStream> events_;
  Deferred handing_over_;
};

constexpr std::array kHttpKinds = {
    Kind{"http.head", &make_subject<OfHttp>},
    Kind{"http.request", &make_subject<OfHttp>},
    Kind{"http.body", &make_subject<OfHttp>},
    Kind{"http.drain", &make_subject<OfHttp>},
    Kind{"http.close", &make_subject<OfHttp>},
    Kind{"http.events_drain", &make_subject<OfHttp>},
    Kind{"http.events_close", &make_subject<OfHttp>},
    Kind{"http.upgraded_open", &make_subject<OfHttp>},
    Kind{"http.upgraded_data", &make_subject<OfHttp>},
    Kind{"http.adopt_upgraded", &make_subject<OfHttp>},
    Kind{"http.upgraded_adopt", &make_subject<OfHttp>},
    Kind{"http.upgraded_hand_over", &make_subject<OfHttp>},
    Kind{"http.drained", &make_subject<OfHttp>},
    Kind{"http.handed_over", &make_subject<OfHttp>},
    Kind{"http.limit", &make_subject<OfHttp>},
    Kind{"http.placement", &make_subject<OfHttp>},
};

}  // namespace

std::span<const Kind> http_kinds() { return kHttpKinds; }

}  // namespace reactor::adversity
