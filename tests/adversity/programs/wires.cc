// SPDX-License-Identifier: MIT
// Two Streams that are joined, each with a model of what it is owed. An actor is one of the two.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "reactor/base/error.h"
#include "reactor/net/stream.h"
#include "tests/adversity/programs/world.h"
#include "tests/support/pipes.h"
#include "tests/support/temporary_folder.h"

namespace reactor::programs {
namespace {

// Lingering is short, as the end of each program waits for it.
const StreamOptions& options() {
  static const StreamOptions options = [] {
    StreamOptions made;
    made.linger_idle = std::chrono::milliseconds(20);
    return made;
  }();
  return options;
}

constexpr std::errc kFailure = std::errc::bad_message;  // given to fail(), and by nothing else

class Side final : public Actor, public StreamHandler {
 public:
  using Actor::Actor;
  void join(Side& peer) { peer_ = &peer; }

  void begin(Socket socket) {
    state_ = {};
    stream_ = std::make_unique<Stream>(loop(), std::move(socket), *this, options());
    stream_->start();
  }

  void apply(const Operation& operation) override {
    if (operation.action == Action::renew_wire) return renew();
    if (operation.action == Action::destroy) return destroy();
    if (stream_ == nullptr) return;
    if (operation.action == Action::detach) return detach();
    ++world().calls;
    call(operation);
    --world().calls;
  }

  void end() override {
    if (stream_ == nullptr) return;
    stream_->resume_reading();
    stream_->set_read_rate(0);
    stream_->set_write_rate(0);
    close(false);
  }
  void check() override {
    if (stream_ != nullptr) require(state_.closed, Rule::reason, "on_close() did not come");
  }

 private:
  // Since the Stream was made.
  struct State {
    std::uint64_t sent = 0, got = 0;
    bool opened = false, ended = false, closed = false;
    bool in_order = false;  // it closed, or half-closed, as one should
    bool broken = false;    // it ended otherwise: what was sent may be lost
    bool failed = false, aborted = false;
    TimePoint earliest = TimePoint::max();  // that a limit may pass
  };

  void call(const Operation& operation) {
    const std::uint32_t amount = operation.amount;
    switch (operation.action) {
      case Action::write:
        return write(amount, [&](auto bytes) { stream_->write(bytes); });
      case Action::write_now:
        return write(amount, [&](auto bytes) { stream_->write_now(bytes); });
      case Action::write_room:
        return write(amount % 60'000 + 1, [&](auto bytes) { fill(bytes); });
      case Action::send_file:
        return write(amount, [&](auto bytes) { send_file(bytes); });
      case Action::shutdown:
        return shutdown();
      case Action::close:
        return close(false);
      case Action::close_lingering:
        return close(true);
      case Action::fail:
        return fail();
      case Action::abort:
        return abort();
      case Action::pause:
        return stream_->pause_reading();
      case Action::resume:
        return stream_->resume_reading();
      default:
        return set_limits(operation.action, amount);
    }
  }

  void set_limits(Action action, std::uint32_t amount) {
    const Duration delay = std::chrono::microseconds(amount % 5000);
    if (action == Action::count) stream_->count_bytes();
    if (action == Action::rates) stream_->set_write_rate(50'000'000 + amount);
    if (action == Action::rates) stream_->set_read_rate(50'000'000 + amount);
    if (action == Action::idle_timeout) stream_->set_idle_timeout(delay);
    if (action == Action::read_timeout) stream_->set_read_timeout(delay);
    if (action == Action::total_deadline) stream_->set_total_deadline(loop().start_time() + delay);
    const bool limits = action == Action::idle_timeout || action == Action::read_timeout ||
                        action == Action::total_deadline;
    if (limits) state_.earliest = std::min(state_.earliest, loop().start_time() + delay);
  }

  template <class Send>
  void write(std::size_t count, Send send) {
    const bool sends = stream_->sends() && !state_.closed;
    const std::vector<std::byte> bytes = bytes_from(state_.sent, count);
    if (sends) state_.sent += count;
    send(std::span<const std::byte>(bytes));
  }
  void fill(std::span<const std::byte> bytes) {
    const std::span<std::byte> room = stream_->write_room(bytes.size());
    std::memcpy(room.data(), bytes.data(), bytes.size());
    stream_->wrote(bytes.size());
  }
  void send_file(std::span<const std::byte> bytes) {
    const TemporaryFolder folder;
    UniqueFd file(::open(folder.file("file").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    require(::write(file.get(), bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
            Rule::bytes, "a file of the test was not written");
    stream_->send_file(std::move(file), 0, bytes.size());
  }
  void shutdown() {
    stream_->shutdown();
    state_.in_order = true;
  }
  void close(bool linger) {
    stream_->close(linger);
    state_.in_order = true;
  }
  void fail() {
    state_.broken = state_.failed = true;
    stream_->fail(std::make_error_code(kFailure));
  }
  void abort() {
    state_.broken = state_.aborted = true;
    stream_->abort();
  }
  void destroy() {
    state_.broken = true;
    stream_.reset();
  }
  // Given back by one Stream, and taken by another: the bytes go on where they were.
  void detach() {
    Result<Socket> socket = stream_->detach();
    if (!socket) return;
    stream_ = std::make_unique<Stream>(loop(), std::move(*socket), *this, options());
    state_.opened = state_.ended = false;
    state_.earliest = TimePoint::max();
    stream_->start();
  }
  void renew() {
    if (world().callbacks > 0) return;  // start() calls back
    destroy();
    peer_->destroy();
    FdPair pair = make_tcp_pair();
    peer_->state_ = {};
    begin(Socket(std::move(pair.near)));
    peer_->begin(Socket(std::move(pair.far)));
  }

  // At the start of each callback.
  void expect_call(Stream& stream, bool may_be_closed = false) {
    require(&stream == stream_.get(), Rule::after_the_end, "a destroyed Stream");
    require(may_be_closed || !state_.closed, Rule::after_the_end, "a closed Stream");
    require(world().calls == 0, Rule::inside_a_call);
  }

  void on_open(Stream& stream) override {
    expect_call(stream);
    require(!std::exchange(state_.opened, true), Rule::once, "on_open()");
    Callback(*this).finish();
  }
  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    Callback callback(*this);
    expect_call(stream);
    require(!state_.ended, Rule::after_the_end, "on_data() behind on_end()");
    require(are_bytes_from(state_.got, bytes), Rule::bytes);
    state_.got += bytes.size();
    require(state_.got <= peer_->state_.sent, Rule::bytes, "more than was sent");
    callback.finish();
  }
  void on_end(Stream& stream) override {
    Callback callback(*this);
    expect_call(stream);
    require(!std::exchange(state_.ended, true), Rule::once, "on_end()");
    const State& peer = peer_->state_;
    const bool all = peer.in_order && !peer.broken;
    if (all) require(state_.got == peer.sent, Rule::whole);
    callback.finish();
    if (&stream == stream_.get()) close(false);
  }
  void on_drain(Stream& stream) override {
    Callback callback(*this);
    expect_call(stream);
    require(stream.writable(), Rule::reason, "on_drain() without room");
    callback.finish();
  }
  void on_flushed(Stream& stream) override {
    Callback callback(*this);
    expect_call(stream);
    require(stream.queued() == 0, Rule::reason, "on_flushed() with something queued");
    callback.finish();
  }
  void on_timeout(Stream& stream) override {
    Callback callback(*this);
    expect_call(stream);
    require(loop().now() >= state_.earliest, Rule::early, "on_timeout()");
    StreamHandler::on_timeout(stream);
    callback.finish();
  }
  void on_close(Stream& stream, std::error_code error) noexcept override {
    Callback callback(*this);
    expect_call(stream, true);
    require(!std::exchange(state_.closed, true), Rule::once, "on_close()");
    if (error) state_.broken = true;
    expect_reason(error);
    callback.finish(false);
  }

  void expect_reason(std::error_code error) const noexcept {
    const State& peer = peer_->state_;
    if (!error) {
      require(state_.in_order, Rule::reason, "no error, and nobody closed it");
    } else if (error == kFailure) {
      require(state_.failed, Rule::reason, "that of fail(), which was not called");
    } else if (error == std::errc::connection_aborted) {
      require(state_.aborted, Rule::reason, "that of abort(), which was not called");
    } else if (error == Errc::timed_out) {
      require(loop().now() >= state_.earliest, Rule::early, "timed_out");
    } else if (error == Errc::queue_full) {
      require(state_.sent > options().queue_limit, Rule::reason, "queue_full");
    } else {
      const bool reset = error == std::errc::connection_reset || error == std::errc::broken_pipe;
      require(reset, Rule::reason, error.message());
      require(peer.broken || peer.in_order, Rule::reason, "a reset that nobody sent");
    }
  }

  Side* peer_ = nullptr;
  std::unique_ptr<Stream> stream_;
  State state_;
};

}  // namespace

Actors make_wires(World& world) {
  Actors actors;
  for (int i = 0; i < 2; ++i) {
    auto one = std::make_unique<Side>(world), other = std::make_unique<Side>(world);
    one->join(*other);
    other->join(*one);
    actors.push_back(std::move(one));
    actors.push_back(std::move(other));
  }
  for (std::size_t i = 0; i < actors.size(); i += 2) {
    FdPair pair = make_tcp_pair();
    static_cast<Side&>(*actors[i]).begin(Socket(std::move(pair.near)));
    static_cast<Side&>(*actors[i + 1]).begin(Socket(std::move(pair.far)));
  }
  return actors;
}

}  // namespace reactor::programs
