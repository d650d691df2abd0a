// SPDX-License-Identifier: MIT
// Runs the timer workload on Asio without Boost; see timer_cases.h. Cancelling or moving a timer
// also queues a call of its handler; those calls are made between the turns and not counted.
#define ASIO_STANDALONE 1
#include <asio.hpp>

#include <deque>

#include "bench/timer_cases.h"

namespace {

class Timers {
 public:
  explicit Timers(std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) timers_.emplace_back(context_);
  }

  template <class Function>
  void inside(Function&& function) {
    function();
  }
  void next_turn() {
    context_.restart();
    context_.poll();
  }
  void start(std::uint32_t i, std::uint32_t ms) {
    asio::steady_timer& timer = timers_[i];
    timer.expires_after(std::chrono::milliseconds(ms));
    timer.async_wait([this](const std::error_code& error) {
      if (!error) ++fired_;
    });
  }
  void move(std::uint32_t i, std::uint32_t ms) { start(i, ms); }
  void stop(std::uint32_t i) { timers_[i].cancel(); }
  void run_until(std::uint32_t fired) {
    context_.restart();
    while (fired_ < fired) context_.run_one();
  }

 private:
  asio::io_context context_{1};
  std::deque<asio::steady_timer> timers_;
  std::uint32_t fired_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::run_timer_cases<Timers>(argc, argv); }
