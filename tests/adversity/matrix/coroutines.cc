// SPDX-License-Identifier: MIT
// The body of a coroutine, after each kind of co_await.
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <optional>
#include <string>

#include "reactor/coro/coro.h"
#include "tests/adversity/matrix/scene.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/pipes.h"
#include "tests/support/stream_kit.h"

namespace reactor::adversity {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

// Throws the error of a result, if there is one.
template <class T>
void take(Result<T> result) {
  static_cast<void>(std::move(result).value());
}

// A task in a cycle: it waits for provoke(), awaits one thing, and acts.
class OfTask : public Subject {
 public:
  using Subject::Subject;
  void prepare() override { task_ = coro::spawn(scene_.loop(), run()); }
  void provoke() override {
    go_.set();
    stimulate();
  }
  [[nodiscard]] bool repeats() const override { return !task_.done(); }
  void destroy() override { task_ = {}; }

 protected:
  [[nodiscard]] bool is(std::string_view call) const { return scene_.cell().call() == call; }
  // Makes the thing happen that one() awaits.
  virtual void stimulate() {}
  virtual coro::Task<void> one() = 0;

  coro::Task<void> run() {
    for (;;) {
      co_await go_.wait();
      go_.reset();
      co_await one();
      called();
    }
  }

  coro::Event go_;
  coro::Spawned task_;
};

// Awaits something other than a connection.
class OfWait final : public OfTask {
 public:
  using OfTask::OfTask;
  ~OfWait() override {
    destroy();
    if (child_ < 0) return;
    ::kill(child_, SIGKILL);
    wait_for_child(child_);
  }

 private:
  void stimulate() override {
    if (is("readable")) write_text(pipe_.far.get(), "!");
    if (is("accept")) client_ = get(Socket::connect(listener_->address()));
    if (is("receive")) datagrams_->transport().send_to("hello", datagrams_->address());
    scene_.loop().post([this] { fill(); });
  }
  // Runs in a later turn, so that one() has to wait.
  void fill() {
    if (is("event")) event_.set();
    if (is("pop")) static_cast<void>(channel_.try_push(1));
    if (is("push")) static_cast<void>(channel_.try_pop());
    if (is("signal")) ::raise(SIGURG);
    if (is("child_exit")) ::kill(child_, SIGKILL);
  }

  coro::Task<void> one() override {
    if (is("sleep")) co_await coro::sleep_for(Duration::zero());
    if (is("yield")) co_await coro::yield();
    if (is("event")) {
      co_await event_.wait();
      event_.reset();
    }
    if (is("pop")) static_cast<void>(co_await channel_.pop());
    if (is("push")) {
      static_cast<void>(channel_.try_push(1));
      static_cast<void>(co_await channel_.push(2));
      static_cast<void>(channel_.try_pop());
    }
    if (is("join")) {
      group_.spawn(nap());
      co_await group_.join();
    }
    if (is("timeout")) static_cast<void>(co_await coro::with_timeout(hours(1), nap()));
    if (is("timed_out")) static_cast<void>(co_await coro::with_timeout(milliseconds(1), sleep()));
    if (is("any")) static_cast<void>(co_await coro::when_any(nap(), sleep()));
    if (is("all")) static_cast<void>(co_await coro::when_all(nap(), nap()));
    co_await one_descriptor();
  }
  coro::Task<void> one_descriptor() {
    if (is("readable")) {
      (co_await coro::readable(pipe_.near.get())).value();
      static_cast<void>(read_text(pipe_.near.get()));
    }
    if (is("writable")) (co_await coro::writable(pipe_.far.get())).value();
    if (is("signal")) (co_await coro::signal(SIGURG)).value();
    if (is("child_exit")) {
      child_ = spawn_sleeper();
      co_await coro::child_exit(child_);
      child_ = -1;
    }
    if (is("accept")) take(co_await listener_->accept());
    if (is("connect")) {
      take(co_await coro::connect(listener_->address()));
    }
    if (is("receive")) {
      std::array<std::byte, 16> buffer;
      take(co_await datagrams_->receive(buffer));
    }
  }
  static coro::Task<void> nap() { co_await coro::yield(); }
  static coro::Task<void> sleep() { co_await coro::sleep_for(hours(1)); }

  pid_t child_ = -1;
  FdPair pipe_ = make_pipe();
  coro::Event event_;
  coro::Channel<int> channel_{1};
  coro::TaskGroup group_{scene_.loop()};
  std::unique_ptr<coro::Listener> listener_ =
      get(coro::Listener::listen(scene_.loop(), Address::loopback(0)));
  std::unique_ptr<coro::Datagram> datagrams_ =
      get(coro::Datagram::bind(scene_.loop(), Address::loopback(0)));
  Socket client_;
};

// Awaits something on a connection of its own, and also acts upon that connection.
class OfConnection final : public OfTask {
 public:
  OfConnection(Scene& scene, Role role) : OfTask(scene, role) { connection_.watched = false; }
  ~OfConnection() override {
    destroy();
    connection_.stream = nullptr;
  }
  void prepare() override {
    FdPair pair = make_tcp_pair();
    scene_.join(connection_, std::move(pair.far));
    Socket socket(std::move(pair.near));
    const int size = 65536;
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    if (auto transport = scene_.transport()) {
      stream_ =
          coro::Stream(scene_.loop(), std::move(socket), std::move(transport), scene_.settings());
    } else {
      stream_ = coro::Stream(scene_.loop(), std::move(socket), scene_.settings());
    }
    if (scene_.cell().carrier == Carrier::extras) add_extras(stream_.transport());
    connection_.stream = &stream_.transport();
    OfTask::prepare();
  }
  [[nodiscard]] bool repeats() const override { return false; }
  [[nodiscard]] Connection* connection() override { return &connection_; }

 private:
  void stimulate() override {
    if (is("read_all")) return connection_.far->end_writing();
    if (!is("write") && !is("flush")) connection_.far_write("first\n");
  }
  coro::Task<void> one() override {
    std::array<std::byte, 6> buffer;
    if (is("read")) take(co_await stream_.read(buffer));
    if (is("read_exactly")) take(co_await stream_.read_exactly(buffer));
    if (is("read_some")) take(co_await stream_.read_some());
    if (is("read_until")) take(co_await stream_.read_until("st", 10));
    if (is("read_line")) take(co_await stream_.read_line(10));
    if (is("read_all")) take(co_await stream_.read_all(10));
    if (is("write") || is("flush")) {
      connection_.sent += big_text();
      (co_await stream_.write(big_text())).value();
    }
    if (is("flush")) (co_await stream_.flush()).value();
  }

  Connection& connection_ = scene_.new_connection();
  coro::Stream stream_;
};

constexpr std::array kTaskKinds = {
    Kind{"coro.sleep", &make_subject<OfWait>},
    Kind{"coro.yield", &make_subject<OfWait>},
    Kind{"coro.event", &make_subject<OfWait>},
    Kind{"coro.pop", &make_subject<OfWait>},
    Kind{"coro.push", &make_subject<OfWait>},
    Kind{"coro.join", &make_subject<OfWait>},
    Kind{"coro.timeout", &make_subject<OfWait>},
    Kind{"coro.timed_out", &make_subject<OfWait>},
    Kind{"coro.any", &make_subject<OfWait>},
    Kind{"coro.all", &make_subject<OfWait>},
    Kind{"coro.readable", &make_subject<OfWait>},
    Kind{"coro.writable", &make_subject<OfWait>},
    Kind{"coro.signal", &make_subject<OfWait>},
    Kind{"coro.child_exit", &make_subject<OfWait>},
    Kind{"coro.accept", &make_subject<OfWait>},
    Kind{"coro.connect", &make_subject<OfWait>},
    Kind{"coro.receive", &make_subject<OfWait>},
    Kind{"task.read", &make_subject<OfConnection>},
    Kind{"task.read_exactly", &make_subject<OfConnection>},
    Kind{"task.read_some", &make_subject<OfConnection>},
    Kind{"task.read_until", &make_subject<OfConnection>},
    Kind{"task.read_line", &make_subject<OfConnection>},
    Kind{"task.read_all", &make_subject<OfConnection>},
    Kind{"task.write", &make_subject<OfConnection>},
    Kind{"task.flush", &make_subject<OfConnection>},
};

}  // namespace

std::span<const Kind> coro_kinds() { return kTaskKinds; }

}  // namespace reactor::adversity
