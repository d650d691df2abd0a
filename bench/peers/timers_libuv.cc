// SPDX-License-Identifier: MIT
// Runs the timer workload on libuv; see timer_cases.h.
#include <uv.h>

#include <vector>

#include "bench/timer_cases.h"

namespace {

class Timers {
 public:
  explicit Timers(std::uint32_t count) : timers_(count) {
    uv_loop_init(&loop_);
    loop_.data = this;
    for (uv_timer_t& timer : timers_) uv_timer_init(&loop_, &timer);
  }

  template <class Function>
  void inside(Function&& function) {
    function();
  }
  void next_turn() { uv_update_time(&loop_); }
  void start(std::uint32_t i, std::uint32_t ms) {
    uv_timer_start(&timers_[i], &Timers::on_timer, ms, 0);
  }
  void move(std::uint32_t i, std::uint32_t ms) {
    uv_timer_set_repeat(&timers_[i], ms);
    uv_timer_again(&timers_[i]);
  }
  void stop(std::uint32_t i) { uv_timer_stop(&timers_[i]); }
  void run_until(std::uint32_t fired) {
    while (fired_ < fired) uv_run(&loop_, UV_RUN_ONCE);
  }

 private:
  static void on_timer(uv_timer_t* timer) { ++static_cast<Timers*>(timer->loop->data)->fired_; }

  uv_loop_t loop_{};
  std::vector<uv_timer_t> timers_;
  std::uint32_t fired_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::run_timer_cases<Timers>(argc, argv); }
