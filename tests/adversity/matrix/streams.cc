// SPDX-License-Identifier: MIT
// The callbacks of a StreamHandler, for a Stream that stands alone ("bare") and for a server's
// connection ("served").
#include <fcntl.h>

#include <chrono>
#include <optional>

#include "reactor/net/internal/proxy_header.h"
#include "tests/adversity/matrix/scene.h"
#include "tests/support/stream_kit.h"

namespace reactor::adversity {
namespace {

// Another process that takes a connection.
class Successor final : public HandOverTarget {
 public:
  explicit Successor(Connection& connection) : connection_(connection) {}
  HandOverReply send(int fd, std::span<const std::byte>) noexcept override {
    connection_.detached = Socket(UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0)));
    return HandOverReply::taken;
  }

 private:
  Connection& connection_;
};

class StreamSubject : public Subject {
 public:
  StreamSubject(Scene& scene, Role role, Connection* connection = nullptr)
      : Subject(scene, role), connection_(connection) {}

  void prepare() override {
    if (!begins()) begin();
  }
  void provoke() override {
    if (begins()) return begin();
    Stream* const stream = connection_->stream;
    if (stream == nullptr) return;  // the sibling's action has ended it
    const std::string_view call = scene_.cell().call();
    if (call == "read_buffer" || call == "data") connection_->far_write("first");
    if (call == "end") connection_->far->end_writing();
    if (call == "drain" || call == "flushed") connection_->write(big_text());
    if (call == "timeout") stream->set_idle_timeout(std::chrono::milliseconds(1));
    if (call == "call") stream->call_soon();
    if (call == "shutdown") stream->request_shutdown();
    if (call == "close") stream->close();
    if (call.starts_with("migrate")) offer(*stream, call);
  }
  [[nodiscard]] bool repeats() const override { return false; }
  void replace() override {
    if (connection_->stream == nullptr) return;
    connection_->other = std::make_unique<Side>(scene_, *connection_);
    connection_->stream->set_handler(*connection_->other);
  }
  [[nodiscard]] Connection* connection() override { return connection_; }

 protected:
  // Starts the connection.
  virtual void begin() = 0;

  [[nodiscard]] bool adopts() const { return scene_.cell().call() == "adopt"; }

  Connection* connection_;

 private:
  // Whether starting the connection provokes the callback.
  [[nodiscard]] bool begins() const { return adopts() || scene_.cell().call() == "open"; }
  // Offers the connection to a successor that takes it, if its handler agrees.
  void offer(Stream& stream, std::string_view call) {
    if (call == "migrate_now" && role_ == Role::sibling) return;  // the sibling stays
    if (call == "migrate_now") connection_->wish = HandOver::now;
    if (call == "migrate_later") connection_->wish = HandOver::later;
    Successor successor(*connection_);
    static_cast<void>(stream.offer_to(successor));
  }
};

class Bare final : public StreamSubject {
 public:
  Bare(Scene& scene, Role role) : StreamSubject(scene, role, &scene.new_connection()) {}
  ~Bare() override { forget(); }

  void destroy() override {
    forget();
    stream_.reset();
  }

 private:
  void begin() override {
    FdPair pair = make_tcp_pair();
    reset_on_close(pair.far.get());
    scene_.join(*connection_, std::move(pair.far));
    stream_.emplace(scene_.loop(), Socket(std::move(pair.near)), side_, scene_.settings());
    connection_->stream = &*stream_;
    if (auto transport = scene_.transport()) stream_->set_transport(std::move(transport));
    if (scene_.cell().carrier == Carrier::extras) stream_->count_bytes();
    adopts() ? stream_->start_adopted({}) : stream_->start();
  }
  void forget() { connection_->stream = nullptr; }

  Side side_{scene_, *connection_};
  std::optional<Stream> stream_;
};

class Served final : public StreamSubject {
 public:
  Served(Scene& scene, Role role) : StreamSubject(scene, role) {}
  void destroy() override {
    if (connection_->stream != nullptr) connection_->stream->abort();
  }

 private:
  void begin() override {
    if (!adopts()) {
      connection_ = &scene_.knock();
      return;
    }
    if (scene_.server() == nullptr) return;
    FdPair pair = make_tcp_pair();
    connection_ = &scene_.new_connection();
    scene_.join(*connection_, std::move(pair.far));
    scene_.expect(*connection_);
    connection_->served = true;
    std::vector<std::byte> state = proxy_header(nullptr);
    state.push_back(std::byte{0});  // as if the server's handler had owned it
    scene_.server()->adopt_connection(Socket(std::move(pair.near)), state).value();
  }
};

constexpr std::array kStreamKinds = {
    Kind{"bare.open", &make_subject<Bare>},
    Kind{"bare.adopt", &make_subject<Bare>},
    Kind{"bare.read_buffer", &make_subject<Bare>},
    Kind{"bare.data", &make_subject<Bare>},
    Kind{"bare.end", &make_subject<Bare>},
    Kind{"bare.drain", &make_subject<Bare>},
    Kind{"bare.flushed", &make_subject<Bare>},
    Kind{"bare.timeout", &make_subject<Bare>},
    Kind{"bare.call", &make_subject<Bare>},
    Kind{"bare.shutdown", &make_subject<Bare>},
    Kind{"bare.migrate", &make_subject<Bare>},
    Kind{"bare.migrate_now", &make_subject<Bare>},
    Kind{"bare.migrate_later", &make_subject<Bare>},
    Kind{"bare.close", &make_subject<Bare>},
    Kind{"served.open", &make_subject<Served>},
    Kind{"served.adopt", &make_subject<Served>},
    Kind{"served.read_buffer", &make_subject<Served>},
    Kind{"served.data", &make_subject<Served>},
    Kind{"served.end", &make_subject<Served>},
    Kind{"served.drain", &make_subject<Served>},
    Kind{"served.flushed", &make_subject<Served>},
    Kind{"served.timeout", &make_subject<Served>},
    Kind{"served.call", &make_subject<Served>},
    Kind{"served.shutdown", &make_subject<Served>},
    Kind{"served.migrate", &make_subject<Served>},
    Kind{"served.migrate_now", &make_subject<Served>},
    Kind{"served.migrate_later", &make_subject<Served>},
    Kind{"served.close", &make_subject<Served>},
};

}  // namespace

std::span<const Kind> stream_kinds() { return kStreamKinds; }

}  // namespace reactor::adversity
