// SPDX-License-Identifier: MIT
#include "reactor/net/stream/internal/wire.h"

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <string>
#include <string_view>

#include "tests/support/pipes.h"
#include "tests/support/script_transport.h"

namespace reactor {
namespace {

using std::chrono::milliseconds;

constexpr TimePoint kNow{std::chrono::hours(1)};

// A Wire over one end of a socket pair.
class WireTest : public ::testing::Test {
 protected:
  [[nodiscard]] int fd() const { return sockets_.near.get(); }
  [[nodiscard]] int peer() const { return sockets_.far.get(); }
  [[nodiscard]] IoResult receive(std::size_t size = 64, TimePoint now = kNow) {
    return wire_.receive(fd(), std::span(buffer_).first(size), now);
  }
  [[nodiscard]] IoResult send(std::string_view text, TimePoint now = kNow) {
    return wire_.send(fd(), std::as_bytes(std::span(text)), now);
  }
  [[nodiscard]] std::string received(std::size_t count) const {
    return {reinterpret_cast<const char*>(buffer_.data()), count};
  }
  ScriptTransport::Script& use_transport() {
    wire_.set_transport(std::make_unique<ScriptTransport>(script_));
    return script_;
  }

  FdPair sockets_ = make_socket_pair();
  ScriptTransport::Script script_;
  Wire wire_;
  std::array<std::byte, 4096> buffer_{};
};

TEST_F(WireTest, MovesBytesAndCountsThem) {
  write_text(peer(), "hello");
  EXPECT_EQ(receive().count(), 5U);
  EXPECT_EQ(received(5), "hello");
  EXPECT_EQ(send("answer").count(), 6U);
  EXPECT_EQ(read_text(peer()), "answer");
  EXPECT_EQ(wire_.bytes_read(), 5U);
  EXPECT_EQ(wire_.bytes_written(), 6U);
  EXPECT_EQ(wire_.transport(), nullptr);
}

TEST_F(WireTest, NothingToMoveWouldBlock) {
  EXPECT_TRUE(receive().would_block());
  write_text(peer(), "x");
  EXPECT_TRUE(receive(0).would_block()) << "no end of stream";
  EXPECT_TRUE(send("").would_block());
  fill(fd());
  EXPECT_TRUE(send("x").would_block());
  EXPECT_EQ(wire_.bytes_read() + wire_.bytes_written(), 0U);
}

TEST_F(WireTest, TellsTheEndAndErrors) {
  sockets_.far.reset();
  EXPECT_TRUE(receive().end());
  const IoResult result = send("x");
  ASSERT_TRUE(result.is_error());
  EXPECT_EQ(wire_.error(result), std::errc::broken_pipe);
  EXPECT_EQ(wire_.error(IoResult::end_of_stream()), std::errc::connection_reset);
  EXPECT_EQ(wire_.bytes_written(), 0U);
}

TEST_F(WireTest, ATransportMovesTheBytes) {
  use_transport();
  write_text(peer(), marked("hello"));
  EXPECT_EQ(receive().count(), 5U);
  EXPECT_EQ(received(5), "hello");
  EXPECT_EQ(send("answer").count(), 6U);
  EXPECT_EQ(read_text(peer()), marked("answer"));
  EXPECT_EQ(wire_.bytes_read(), 5U);
  EXPECT_EQ(wire_.bytes_written(), 6U);
}

TEST_F(WireTest, ATransportNamesItsErrorsAndNeeds) {
  EXPECT_EQ(wire_.read_needs(), Interest::read);
  EXPECT_EQ(wire_.write_needs(), Interest::write);
  ScriptTransport::Script& script = use_transport();
  script.error_name = std::make_error_code(std::errc::protocol_error);
  script.fail_read_with = EIO;
  write_text(peer(), "x");
  const IoResult failed = receive();
  ASSERT_TRUE(failed.is_error());
  EXPECT_EQ(wire_.error(failed), std::errc::protocol_error);
  script.fail_read_with = 0;
  script.swaps = 1;
  EXPECT_EQ(receive().count(), 0U);
  EXPECT_EQ(wire_.read_needs(), Interest::write);
}

TEST_F(WireTest, ARateLimitsReading) {
  wire_.set_read_rate(1000, kNow);  // begins with 10 ms' worth
  write_text(peer(), std::string(100, 'x'));
  EXPECT_EQ(wire_.may_read(kNow), 10U);
  EXPECT_EQ(receive().count(), 10U);
  EXPECT_EQ(wire_.may_read(kNow), 0U);
  EXPECT_TRUE(receive().would_block());
  const TimePoint later = wire_.may_read_at();
  EXPECT_EQ(later, kNow + milliseconds(10));
  EXPECT_EQ(receive(64, later).count(), 10U);
  EXPECT_EQ(receive(64, later + milliseconds(500)).count(), 50U) << "50 ms' worth at most";
  wire_.set_read_rate(0, kNow);
  EXPECT_EQ(receive().count(), 30U);
}

TEST_F(WireTest, ARateLimitsWriting) {
  wire_.set_write_rate(1000, kNow);
  const std::string text(100, 'x');
  EXPECT_EQ(send(text).count(), 10U);
  EXPECT_TRUE(send(text).would_block());
  EXPECT_EQ(wire_.may_write(kNow), 0U);
  EXPECT_EQ(wire_.may_write_at(), kNow + milliseconds(10));
  EXPECT_EQ(send(text, kNow + milliseconds(20)).count(), 20U);
  EXPECT_EQ(wire_.may_read(kNow), SIZE_MAX) << "the rates are independent";
  EXPECT_EQ(read_text(peer()).size(), 30U);
}

TEST_F(WireTest, BytesThatWereNotMovedDoNotUseUpTheRate) {
  wire_.set_read_rate(1000, kNow);
  EXPECT_TRUE(receive().would_block());
  EXPECT_EQ(wire_.may_read(kNow), 10U);
  write_text(peer(), "abc");
  EXPECT_EQ(receive().count(), 3U);
  EXPECT_EQ(wire_.may_read(kNow + milliseconds(3)), 10U);
}

}  // namespace
}  // namespace reactor
