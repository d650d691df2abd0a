// SPDX-License-Identifier: MIT
// Runs the timer workload on libevent, without its locks; see timer_cases.h.
#include <event2/event.h>
#include <event2/event_struct.h>

#include <vector>

#include "bench/timer_cases.h"

namespace {

class Timers {
 public:
  explicit Timers(std::uint32_t count) : timers_(count) {
    event_config* const config = event_config_new();
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
    base_ = event_base_new_with_config(config);
    event_config_free(config);
    for (event& timer : timers_) event_assign(&timer, base_, -1, 0, &Timers::on_timer, this);
  }
  ~Timers() { event_base_free(base_); }
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  template <class Function>
  void inside(Function&& function) {
    function();
  }
  void next_turn() { event_base_loop(base_, EVLOOP_NONBLOCK); }
  void start(std::uint32_t i, std::uint32_t ms) {
    const timeval delay{ms / 1000, static_cast<suseconds_t>(ms % 1000 * 1000)};
    event_add(&timers_[i], &delay);
  }
  void move(std::uint32_t i, std::uint32_t ms) { start(i, ms); }
  void stop(std::uint32_t i) { event_del(&timers_[i]); }
  void run_until(std::uint32_t fired) {
    while (fired_ < fired) event_base_loop(base_, EVLOOP_ONCE);
  }

 private:
  static void on_timer(evutil_socket_t, short, void* self) { ++static_cast<Timers*>(self)->fired_; }

  event_base* base_ = nullptr;
  std::vector<event> timers_;
  std::uint32_t fired_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::run_timer_cases<Timers>(argc, argv); }
