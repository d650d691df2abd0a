// SPDX-License-Identifier: MIT
// Two Streams that are joined, each with a model of what it is owed. An actor is one of the two.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "reactor/base/error.h"
#include "reactor/net/stream/stream.h"
#include "tests/adversity/programs/world.h"
#include "tests/support/pipes.h"
#include "tests/support/run.h"
#include "tests/support/temporary_folder.h"

namespace reactor::programs {
namespace {

// Nothing ends here because it takes long: a program waits for what is owed.
const StreamOptions& options() {
  static const StreamOptions options = [] {
    StreamOptions made;
    made.linger_idle = kLimit;
    return made;
  }();
  return options;
}

constexpr std::errc kFailure = std::errc::bad_message;  // given to fail(), and by nothing else

class Side final : public Actor, public StreamHandler {
 public:
  using Actor::Actor;
  void join(Side& peer) { peer_ = &peer; }

  // Both are there before one of them calls back: it may do anything to either, but not throw, as
  // the second would never start then.
  static void begin(Side& one, Side& other) {
    FdPair pair = make_tcp_pair();
    Stream* const first = one.take(Socket(std::move(pair.near)));
    Stream* const second = other.take(Socket(std::move(pair.far)));
    ++one.world().noexcepts;
    first->start();
    if (other.stream_.get() == second) second->start();
    --one.world().noexcepts;
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

  void relax() override {
    if (stream_ == nullptr) return;
    state_.paused = state_.lends = false;
    stream_->resume_reading();
    stream_->set_read_rate(0);
    stream_->set_write_rate(0);
    stream_->set_idle_timeout(Duration::zero());
    stream_->set_read_timeout(Duration::zero());
    stream_->set_total_deadline(TimePoint::max());
  }
  // One that was closed is owed its end only, and it by one that closed.
  [[nodiscard]] bool waits() const override {
    if (stream_ == nullptr || state_.closed) return false;
    if (state_.quits()) return peer_->gone();
    if (!stream_->writable() || stream_->queued() > 0) return !peer_->stops();
    return !state_.ended && !peer_->lossy() && state_.got < peer_->state_.sent;
  }
  void end() override {
    if (stream_ != nullptr) close(false);
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
    bool closing = false;   // by close()
    bool cuts = false;      // it closed though input may wait: that is answered by a reset
    bool paused = false;
    bool takes = true;       // what read_buffer() gave is filled
    std::uint32_t lent = 0;  // how much read_buffer() gives next, if so much is asked for
    bool lends = false;
    bool broken = false;  // it ended otherwise: what was sent may be lost
    bool failed = false, aborted = false;
    TimePoint earliest = TimePoint::max();  // that a limit may pass

    [[nodiscard]] bool quits() const noexcept { return closing || failed || aborted; }
  };

  [[nodiscard]] bool gone() const noexcept { return stream_ == nullptr || state_.closed; }
  // What it sent may be lost.
  [[nodiscard]] bool lossy() const noexcept { return state_.broken || state_.cuts; }
  // It may never read what it is sent.
  [[nodiscard]] bool stops() const noexcept { return gone() || state_.quits(); }

  Stream* take(Socket socket) {
    state_ = {};
    stream_ = std::make_unique<Stream>(loop(), std::move(socket), *this, options());
    return stream_.get();
  }

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
        state_.paused = true;
        return stream_->pause_reading();
      case Action::resume:
        state_.paused = false;
        return stream_->resume_reading();
      case Action::lend:
        state_.lends = true;
        state_.lent = amount % 700 * (amount % 4);  // often nothing
        return;
      default:
        return set_limits(operation.action, amount);
    }
  }

  void set_limits(Action action, std::uint32_t amount) {
    const Duration delay = std::chrono::microseconds(amount % 5000);
    const TimePoint deadline = loop().start_time() + delay;
    const bool limits = action == Action::idle_timeout || action == Action::read_timeout ||
                        action == Action::total_deadline;
    if (limits) state_.earliest = std::min(state_.earliest, deadline);
    if (action == Action::count) stream_->count_bytes();
    if (action == Action::rates) stream_->set_write_rate(50'000'000 + amount);
    if (action == Action::rates) stream_->set_read_rate(50'000'000 + amount);
    if (action == Action::idle_timeout) stream_->set_idle_timeout(delay);
    if (action == Action::read_timeout) stream_->set_read_timeout(delay);
    if (action == Action::total_deadline) stream_->set_total_deadline(deadline);
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
  // Where input is not read for now, it is read and dropped instead of reset.
  void close(bool linger) {
    const bool lingers = linger || state_.paused || stream_->queued() > 0 || state_.ended;
    if (!state_.quits() && !lingers) state_.cuts = true;
    stream_->close(linger);
    state_.in_order = state_.closing = true;
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
    if (!state_.closed) state_.broken = true;
    stream_.reset();
  }
  // Given back by one Stream, and taken by another: the bytes go on where they were.
  void detach() {
    if (state_.in_order) return;  // the next one would not know that it may not write
    Result<Socket> socket = stream_->detach();
    if (!socket) return;
    state_.paused = false;
    stream_ = std::make_unique<Stream>(loop(), std::move(*socket), *this, options());
    state_.opened = state_.ended = false;
    state_.earliest = TimePoint::max();
    stream_->start();
  }
  void renew() {
    destroy();
    peer_->destroy();
    begin(*this, *peer_);
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
    Callback(*this, world()).finish();
  }
  std::span<std::byte> read_buffer(Stream& stream) override {
    Callback callback(*this, world());
    expect_call(stream);
    std::span<std::byte> buffer = StreamHandler::read_buffer(stream);
    if (std::exchange(state_.lends, false)) {
      room_.resize(state_.lent);
      buffer = room_;
    }
    state_.takes = false;  // if the rest throws
    callback.finish();
    if (&stream != stream_.get()) return buffer;
    if (buffer.empty()) state_.paused = true;  // by the Stream, even if the rest has resumed
    state_.takes = !state_.paused && !stream.closing() && !buffer.empty();
    return buffer;
  }
  void on_data(Stream& stream, std::span<std::byte> bytes) override {
    Callback callback(*this, world());
    expect_call(stream);
    require(!state_.ended, Rule::after_the_end, "on_data() behind on_end()");
    require(state_.takes, Rule::read_buffer);
    require(are_bytes_from(state_.got, bytes), Rule::bytes);
    state_.got += bytes.size();
    require(state_.got <= peer_->state_.sent, Rule::bytes, "more than was sent");
    callback.finish();
  }
  void on_end(Stream& stream) override {
    Callback callback(*this, world());
    expect_call(stream);
    require(!std::exchange(state_.ended, true), Rule::once, "on_end()");
    const State& peer = peer_->state_;
    const bool all = peer.in_order && !peer.broken;
    if (all) require(state_.got == peer.sent, Rule::whole);
    callback.finish();
    if (&stream == stream_.get()) close(false);
  }
  void on_drain(Stream& stream) override {
    Callback callback(*this, world());
    expect_call(stream);
    require(stream.writable(), Rule::reason, "on_drain() without room");
    callback.finish();
  }
  void on_flushed(Stream& stream) override {
    Callback callback(*this, world());
    expect_call(stream);
    require(stream.queued() == 0, Rule::reason, "on_flushed() with something queued");
    callback.finish();
  }
  void on_timeout(Stream& stream) override {
    Callback callback(*this, world());
    expect_call(stream);
    require(loop().now() >= state_.earliest, Rule::early, "on_timeout()");
    StreamHandler::on_timeout(stream);
    callback.finish();
  }
  void on_close(Stream& stream, std::error_code error) noexcept override {
    Callback callback(*this, world(), Callback::Kind::is_noexcept);
    expect_call(stream, true);
    require(!std::exchange(state_.closed, true), Rule::once, "on_close()");
    if (error) state_.broken = true;
    expect_reason(error);
    callback.finish();
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
      require(peer.broken || peer.cuts, Rule::reason, "a reset that nobody sent");
    }
  }

  Side* peer_ = nullptr;
  std::unique_ptr<Stream> stream_;
  std::vector<std::byte> room_;
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
    Side::begin(static_cast<Side&>(*actors[i]), static_cast<Side&>(*actors[i + 1]));
  }
  return actors;
}

}  // namespace reactor::programs
