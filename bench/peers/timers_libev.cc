// SPDX-License-Identifier: MIT
// Runs the timer workload on libev; see timer_cases.h.
#include <ev.h>

#include <vector>

#include "bench/timer_cases.h"

namespace {

class Timers {
 public:
  explicit Timers(std::uint32_t count) : loop_(ev_loop_new(EVFLAG_AUTO)), timers_(count) {
    ev_set_userdata(loop_, this);
    for (ev_timer& timer : timers_) ev_init(&timer, &Timers::on_timer);
  }
  ~Timers() { ev_loop_destroy(loop_); }
  Timers(const Timers&) = delete;
  Timers& operator=(const Timers&) = delete;

  template <class Function>
  void inside(Function&& function) {
    function();
  }
  void next_turn() { ev_now_update(loop_); }
  void start(std::uint32_t i, std::uint32_t ms) {
    ev_timer_set(&timers_[i], ms / 1000., 0);
    ev_timer_start(loop_, &timers_[i]);
  }
  void move(std::uint32_t i, std::uint32_t ms) {
    timers_[i].repeat = ms / 1000.;
    ev_timer_again(loop_, &timers_[i]);
  }
  void stop(std::uint32_t i) { ev_timer_stop(loop_, &timers_[i]); }
  void run_until(std::uint32_t fired) {
    while (fired_ < fired) ev_run(loop_, EVRUN_ONCE);
  }

 private:
  static void on_timer(struct ev_loop* loop, ev_timer*, int) {
    ++static_cast<Timers*>(ev_userdata(loop))->fired_;
  }

  struct ev_loop* loop_;
  std::vector<ev_timer> timers_;
  std::uint32_t fired_ = 0;
};

}  // namespace

int main(int argc, char** argv) { return bench::run_timer_cases<Timers>(argc, argv); }
