// SPDX-License-Identifier: MIT
// These types describe readiness. Users and backends share them.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace reactor {

// Interest has the events to wait for on a descriptor; combine them with |. `none` pauses the watch
// but keeps its registration.
enum class Interest : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

[[nodiscard]] constexpr Interest operator|(Interest a, Interest b) noexcept {
  return static_cast<Interest>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] constexpr Interest operator&(Interest a, Interest b) noexcept {
  return static_cast<Interest>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
[[nodiscard]] constexpr bool any(Interest interest) noexcept { return interest != Interest::none; }

// Ready has the events for which a descriptor is ready, limited to those that were asked for.
// Readiness is a hint (G5): the next call may still return EAGAIN. A hang-up or an error counts as
// readable and writable, so the next reads return the remaining bytes and then the true error.
class Ready {
 public:
  constexpr Ready() noexcept = default;
  explicit constexpr Ready(Interest bits) noexcept : bits_(bits) {}

  [[nodiscard]] constexpr bool readable() const noexcept { return any(bits_ & Interest::read); }
  [[nodiscard]] constexpr bool writable() const noexcept { return any(bits_ & Interest::write); }
  [[nodiscard]] constexpr Interest bits() const noexcept { return bits_; }

 private:
  Interest bits_ = Interest::none;
};

// Backend is the kernel interface by which a Loop waits. `automatic` picks the first backend, in
// the order of the enumerators, that this build and kernel have.
enum class Backend : std::uint8_t { automatic, epoll, kqueue, select };

// Returns "auto", "epoll", "kqueue" or "select".
[[nodiscard]] std::string_view to_string(Backend backend) noexcept;

// Returns the backends built into this library, best first. The list is never empty and never
// contains `automatic`.
[[nodiscard]] std::vector<Backend> available_backends();

}  // namespace reactor
