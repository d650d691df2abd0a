// SPDX-License-Identifier: MIT
// The callbacks of the other classes that move bytes or prepare for it: listeners, datagrams,
// connectors, name queries.
#include <sys/socket.h>

#include <array>

#include "reactor/dns/host_connector.h"
#include "reactor/net/connector.h"
#include "reactor/net/datagram/datagram.h"
#include "tests/adversity/matrix/scene.h"
#include "tests/support/loop_test.h"
#include "tests/support/name_server.h"

namespace reactor::adversity {
namespace {

class OfListener final : public Subject, private AcceptHandler {
 public:
  using Subject::Subject;
  void provoke() override {
    asked_ = false;
    if (is("error")) return fail();
    client_ = get(Socket::connect(listener_->address()));
  }
  void destroy() override { listener_.reset(); }

 private:
  [[nodiscard]] bool is(std::string_view call) const { return scene_.cell().call() == call; }
  void on_accept(Listener&, Socket) override {
    if (is("accept")) called();
  }
  [[nodiscard]] bool takes_more() const noexcept override {
    if (is("takes_more") && !std::exchange(asked_, true)) const_cast<OfListener*>(this)->called();
    return true;
  }
  void on_listener_error(Listener&, std::error_code) override { called(); }
  // Makes a listener that the kernel has taken out of its state.
  void fail() {
    listener_ = get(Listener::listen(scene_.loop(), Address::loopback(0), *this));
    ::shutdown(listener_->fd(), SHUT_RDWR);
  }

  mutable bool asked_ = true;  // takes_more() may be asked several times for one connection
  Socket client_;
  std::unique_ptr<Listener> listener_ =
      get(Listener::listen(scene_.loop(), Address::loopback(0), *this));
};

// Uses a unix socket that is connected to its peer. For on_error() it uses a UDP socket whose peer
// does not exist.
class OfDatagram final : public Subject, private DatagramHandler {
 public:
  OfDatagram(Scene& scene, Role role) : Subject(scene, role) {
    if (is("error")) {
      const Address nobody = Address::parse("127.0.0.1:9").value();
      socket_ = get(Datagram::connect(scene.loop(), nobody, *this));
      return;
    }
    std::array<int, 2> ends{};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_DGRAM, 0, ends.data()), 0);
    peer_.reset(ends[1]);
    socket_ = get(Datagram::adopt(scene.loop(), Socket(UniqueFd(ends[0])), *this));
  }
  void provoke() override {
    if (is("error")) return socket_->send("anybody?");
    if (!is("drain")) {
      EXPECT_EQ(::send(peer_.get(), "hello", 5, 0), 5);
      return;
    }
    while (socket_->writable()) {
      socket_->send("hello");
      socket_->flush();
    }
    drains_ = true;
  }
  void far_side() override {
    std::array<char, 16> buffer;
    while (drains_ && ::recv(peer_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT) >= 0) {
    }
  }
  void destroy() override { socket_.reset(); }

 private:
  [[nodiscard]] bool is(std::string_view call) const { return scene_.cell().call() == call; }
  void reached(std::string_view call) {
    if (is(call)) called();
  }
  void on_datagram(Datagram&, const Message&) override { reached("message"); }
  void on_batch_end(Datagram&) override { reached("batch_end"); }
  void on_drain(Datagram&) override { reached("drain"); }
  void on_error(Datagram&, std::error_code) override { reached("error"); }

  bool drains_ = false;
  UniqueFd peer_;
  std::unique_ptr<Datagram> socket_;
};

class OfConnector final : public Subject {
 public:
  using Subject::Subject;
  void provoke() override {
    connector_ = get(Connector::connect(scene_.loop(), get(Socket::local_address(door_.fd())), {},
                                        [call = acting()](Result<Socket> socket) mutable {
                                          EXPECT_TRUE(socket);
                                          call();
                                        }));
  }
  void destroy() override { connector_.reset(); }

 private:
  Socket door_ = get(Socket::listen(Address::loopback(0), {}));
  std::unique_ptr<Connector> connector_;
};

// A resolver, and a name server that knows one name.
class OfName : public Subject {
 public:
  OfName(Scene& scene, Role role) : Subject(scene, role) {
    names_.table["host.test"].addresses = {Address::loopback(0)};
  }

 protected:
  // "localhost" needs no name server.
  [[nodiscard]] std::string_view host() const {
    return scene_.cell().call() == "answer" ? "host.test" : "localhost";
  }

 private:
  [[nodiscard]] dns::ResolverOptions options() const {
    dns::ResolverOptions options;
    options.servers = {names_.address()};
    options.hosts_file = false;
    return options;
  }
  NameServer names_{scene_.loop()};

 protected:
  std::unique_ptr<dns::Resolver> resolver_ = get(dns::Resolver::create(scene_.loop(), options()));
};

class OfQuery final : public OfName {
 public:
  using OfName::OfName;
  void provoke() override {
    query_ = resolver_->resolve(host(), 80, dns::Family::any,
                                [call = acting()](Result<std::vector<Address>> found) mutable {
                                  EXPECT_TRUE(found) << found.error().message();
                                  call();
                                });
  }
  void destroy() override { query_ = {}; }

 private:
  dns::Query query_;
};

class OfHostConnector final : public OfName {
 public:
  using OfName::OfName;
  void provoke() override {
    const std::uint16_t port = get(Socket::local_address(door_.fd())).port();
    connector_ = get(dns::HostConnector::connect(*resolver_, "host.test", port, {},
                                                 [call = acting()](Result<Socket> socket) mutable {
                                                   EXPECT_TRUE(socket) << socket.error().message();
                                                   call();
                                                 }));
  }
  void destroy() override { connector_.reset(); }

 private:
  Socket door_ = get(Socket::listen(Address::loopback(0), {}));
  std::unique_ptr<dns::HostConnector> connector_;
};

constexpr std::array kTransportKinds = {
    Kind{"listener.accept", &make_subject<OfListener>},
    Kind{"listener.takes_more", &make_subject<OfListener>},
    Kind{"listener.error", &make_subject<OfListener>},
    Kind{"datagram.message", &make_subject<OfDatagram>},
    Kind{"datagram.batch_end", &make_subject<OfDatagram>},
    Kind{"datagram.drain", &make_subject<OfDatagram>},
    Kind{"datagram.error", &make_subject<OfDatagram>},
    Kind{"connector.done", &make_subject<OfConnector>},
    Kind{"dns.query", &make_subject<OfQuery>},
    Kind{"dns.answer", &make_subject<OfQuery>},
    Kind{"dns.connector", &make_subject<OfHostConnector>},
};

}  // namespace

std::span<const Kind> transport_kinds() { return kTransportKinds; }

}  // namespace reactor::adversity
