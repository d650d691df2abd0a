// SPDX-License-Identifier: MIT
// The fixture for the contract of poller.h, on every backend.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <utility>

#include "reactor/base/clock.h"
#include "reactor/poller/internal/poller.h"
#include "tests/support/backends.h"
#include "tests/support/continued.h"
#include "tests/support/pipes.h"

namespace reactor {

// The longest wait for an event that must come.
inline constexpr Duration kPatience = std::chrono::seconds(10);

// The timeout for events that are already due.
inline constexpr Duration kAtOnce = Duration::zero();

// The events of one wait, by the index of their token. wait_on() checks the generations.
using Batch = std::map<std::uint32_t, Interest>;

inline constexpr Token token_number(std::uint32_t index) { return {index, index + 1000}; }

// Waits for events. A wait that ended early because the process was stopped is continued.
inline Batch wait_on(Poller& poller, Duration timeout, std::size_t room = 64) {
  const Continued continued;
  const TimePoint start = monotonic_now();
  std::vector<PollEvent> events(room);
  Result<std::size_t> count = std::size_t{0};
  Duration waited{0};
  int before = 0;
  do {
    before = continued.times();
    count = poller.wait(events, timeout - waited);
    waited = monotonic_now() - start;
  } while (count && *count == 0 && continued.times() != before && waited < timeout);
  EXPECT_TRUE(count.has_value()) << count.error().message();
  Batch batch;
  for (std::size_t i = 0; count && i < *count; ++i) {
    const auto [token, ready] = events[i];
    EXPECT_EQ(token, token_number(token.index));
    EXPECT_FALSE(batch.contains(token.index)) << "two events of one registration";
    batch[token.index] = batch[token.index] | ready.bits();
  }
  return batch;
}

class PollerTest : public BackendTest {
 protected:
  PollerTest() {
    Result<std::unique_ptr<Poller>> made = make_poller(GetParam());
    EXPECT_TRUE(made.has_value()) << made.error().message();
    poller_ = std::move(made).value();
  }

  [[nodiscard]] Poller& poller() { return *poller_; }
  void destroy_poller() { poller_.reset(); }

  std::error_code add(const UniqueFd& fd, Interest interest, std::uint32_t number) {
    return poller_->add(fd.get(), interest, token_number(number));
  }
  Batch wait(Duration timeout = kAtOnce) { return wait_on(*poller_, timeout); }
  // Returns the bits of one token, limited to `asked`: a backend may report more, which is masked
  // later.
  Interest wait_for(std::uint32_t number, Interest asked, Duration timeout = kAtOnce) {
    Batch batch = wait(timeout);
    return batch[number] & asked;
  }
  // select(2) has no kernel object that could hold a descriptor.
  [[nodiscard]] bool kernel_holds_the_set() const { return GetParam() != Backend::select; }

 private:
  std::unique_ptr<Poller> poller_;
};

inline bool is_gone(std::error_code error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::bad_file_descriptor;
}

}  // namespace reactor
