// SPDX-License-Identifier: MIT
// The words of readiness that users and backends share.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

namespace reactor {

// What to wait for on a descriptor; combine with |. `none` pauses without giving the place up.
enum class Interest : std::uint8_t { none = 0, read = 1, write = 2, read_write = 3 };

[[nodiscard]] constexpr Interest operator|(Interest a, Interest b) noexcept {
  return static_cast<Interest>(static_cast<unsigned>(a) | static_cast<unsigned>(b));
}
[[nodiscard]] constexpr Interest operator&(Interest a, Interest b) noexcept {
  return static_cast<Interest>(static_cast<unsigned>(a) & static_cast<unsigned>(b));
}
[[nodiscard]] constexpr bool any(Interest interest) noexcept { return interest != Interest::none; }

// What a descriptor is ready for, as far as it was asked. A hint (G5): the next call may still say
// EAGAIN. A hang-up or an error counts as readable and writable, so the call that follows returns
// the true error, after the last octet.
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

// How a Loop waits. `automatic` is the best that this build and kernel have, in the order below.
enum class Backend : std::uint8_t { automatic, epoll, kqueue, select };

// "auto", "epoll", "kqueue", "select".
[[nodiscard]] std::string_view to_string(Backend backend) noexcept;

// The backends built into this library, best first; never empty, never `automatic`.
[[nodiscard]] std::vector<Backend> available_backends();

}  // namespace reactor
