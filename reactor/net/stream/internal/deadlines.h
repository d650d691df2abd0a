// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>

#include "reactor/base/clock.h"

namespace reactor {

// Deadlines has the time limits of a Stream. It tells when the next one passes, and which one has
// passed. It knows neither the Stream nor a timer, so its caller passes the time. Private to net/.
//
//   main      only one of these at a time, because setting one replaces the others:
//             Transport::open_limit(), set_deadline(), idle timeout, StreamOptions::write_timeout
//   reading   set_read_timeout(): runs while the Stream waits for bytes to read
//   writing   set_write_timeout(): runs while the Stream waits to write bytes
//   total     set_total_deadline()
class Deadlines {
 public:
  enum class Limit : std::uint8_t { none, main, reading, writing, total };
  static constexpr TimePoint kNever = TimePoint::max();

  void set_main(TimePoint due) noexcept { main_ = due; }
  // Moves the main limit to a later time, if there is one.
  void postpone_main(TimePoint later) noexcept {
    if (main_ != kNever) main_ = std::max(main_, later);
  }
  [[nodiscard]] TimePoint main() const noexcept { return main_; }

  void set_total(TimePoint due) noexcept { total_ = due; }
  // These functions also end a wait in progress. A timeout of zero or less never passes.
  void set_read_timeout(Duration timeout) noexcept { reading_ = {timeout}; }
  void set_write_timeout(Duration timeout) noexcept { writing_ = {timeout}; }
  [[nodiscard]] bool has_write_timeout() const noexcept { return writing_.timeout > Duration{0}; }

  // These functions tell whether the Stream waits from now on. They do not restart a wait that has
  // begun.
  void watch_reading(bool waits, TimePoint now) noexcept { reading_.watch(waits, now); }
  void watch_writing(bool waits, TimePoint now) noexcept { writing_.watch(waits, now); }
  // Bytes were moved, so the wait is over. The next wait begins with the next call of
  // watch_reading() or watch_writing().
  void was_read() noexcept { reading_.due = kNever; }
  void was_written() noexcept { writing_.due = kNever; }

  // Returns when the next limit passes; kNever if none is set.
  [[nodiscard]] TimePoint next_due() const noexcept {
    return std::min({main_, reading_.due, writing_.due, total_});
  }

  // Returns a limit that has passed at `now`, and unsets it; Limit::none if none has passed. If
  // several have passed, Limit::total and Limit::writing are returned first, because they end the
  // Stream.
  [[nodiscard]] Limit take_passed(TimePoint now) noexcept {
    if (take(total_, now)) return Limit::total;
    if (take(writing_.due, now)) return Limit::writing;
    if (take(reading_.due, now)) return Limit::reading;
    return take(main_, now) ? Limit::main : Limit::none;
  }

 private:
  struct Wait {
    Duration timeout{};  // 0: none
    TimePoint due = kNever;

    void watch(bool waits, TimePoint now) noexcept {
      if (!waits || timeout <= Duration::zero()) {
        due = kNever;
      } else if (due == kNever) {
        due = saturating_add(now, timeout);
      }
    }
  };

  [[nodiscard]] static bool take(TimePoint& due, TimePoint now) noexcept {
    const bool passed = due <= now;
    if (passed) due = kNever;
    return passed;
  }

  TimePoint main_ = kNever, total_ = kNever;
  Wait reading_, writing_;
};

}  // namespace reactor
