// SPDX-License-Identifier: MIT
// This file has the part of Connection that ends a connection in this process: by a drain, by a
// hand-over to another process, or by a close.
#include <algorithm>
#include <chrono>
#include <optional>
#include <vector>

#include "reactor/http/internal/http_connection.h"

namespace reactor::http {
namespace {

// A connection takes this state along to another process: one byte for the version, then four
// bytes, the least significant first, for the milliseconds that the wait for the next request may
// still take. Later versions append to this state.
constexpr std::byte kStateVersion{1};
constexpr std::size_t kStateSize = 5;

std::vector<std::byte> write_wait(Duration left) {
  using std::chrono::milliseconds;
  const auto clamped = std::clamp(std::chrono::duration_cast<milliseconds>(left), milliseconds(0),
                                  milliseconds(UINT32_MAX));
  std::vector<std::byte> state{kStateVersion};
  for (unsigned shift = 0; shift < 32; shift += 8) {
    state.push_back(static_cast<std::byte>(clamped.count() >> shift));
  }
  return state;
}

std::optional<Duration> read_wait(std::span<const std::byte> state) {
  if (state.size() < kStateSize || state[0] != kStateVersion) return std::nullopt;
  std::uint32_t wait = 0;
  for (std::size_t i = kStateSize - 1; i > 0; --i) {
    wait = (wait << 8) | std::to_integer<std::uint32_t>(state[i]);
  }
  return std::chrono::milliseconds(wait);
}

}  // namespace

void Connection::on_shutdown(Stream& stream) {
  leaving_ = true;
  if (idle()) leave(stream);  // else set_clock() does it after the response
}

// Lets the connection move only between requests. Its state is then only the time that it may still
// wait for the next request.
HandOver Connection::on_hand_over(Stream& stream, std::vector<std::byte>& state) {
  if (!idle() || !progress_.fresh()) return HandOver::later;
  state = write_wait(stream.time_left());
  return HandOver::now;
}

// Continues to wait for the next request. A state that can't be read comes from another version of
// the program. In that case the wait begins anew.
void Connection::on_adopt(Stream& stream, std::span<const std::byte> state) {
  const Duration keep_alive = shared_->options.keep_alive;
  const Duration left = read_wait(state).value_or(keep_alive);
  if (keep_alive <= Duration::zero()) return;
  stream.set_deadline(saturating_add(stream.loop().now(), std::min(left, keep_alive)));
  clock_ = Clock::stale;
}

StreamHandler* Connection::adopting_handler() {
  auto& adopt = shared_->adopt_upgraded;
  return adopt ? adopt() : nullptr;
}

// Closes an idle connection at a random moment within drain_spread.
void Connection::leave(Stream& stream) {
  const Duration spread = shared_->options.drain_spread;
  if (spread <= Duration::zero()) {
    stream.close(true);
    return;
  }
  const Duration delay = shared_->jitter.part_of(spread);
  stream.set_deadline(saturating_add(stream.loop().now(), delay));
  clock_ = Clock::idle;
}

// Ends a connection because there is no memory for its input. Other connections continue. Called in
// a catch block for std::bad_alloc. If the handler of an upgraded connection threw the exception,
// this rethrows it, because the exceptions of such a handler leave Loop::run().
[[gnu::noinline]] void Connection::give_up(Stream& stream) {
  if (&stream.handler() != this) throw;
  stream.fail(std::make_error_code(std::errc::not_enough_memory));
}

void Connection::on_close(Stream&, std::error_code) noexcept {
  const std::unique_ptr<Exchange> lost = std::move(exchange_);
  if (lost != nullptr) lost->lose_connection();
}

// Disconnects the Responder. Moves the exchange out first, because its callbacks may own objects
// whose destruction destroys this Connection.
void Connection::on_loop_end(Stream&) noexcept {
  const std::unique_ptr<Exchange> dropped = std::move(exchange_);
}

}  // namespace reactor::http
