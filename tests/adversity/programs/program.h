// SPDX-License-Identifier: MIT
// A program: operations as plain values, so that one that fails is made shorter by leaving some
// out.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace reactor::programs {

enum class Action : std::uint8_t {
  // the loop
  poll,
  wait,
  stop,
  post,
  schedule,
  stop_deferred,
  raise,
  // timers
  start_timer,
  start_every,
  stop_timer,
  renew_timer,
  unref_timer,
  ref_timer,
  // pipes
  fill_pipe,
  read_pipe,
  ignore_pipe,
  stop_watcher,
  renew_pipe,
  // streams
  lend,
  write,
  write_now,
  write_room,
  send_file,
  shutdown,
  close,
  close_lingering,
  fail,
  abort,
  pause,
  resume,
  destroy,
  detach,
  renew_wire,
  idle_timeout,
  read_timeout,
  total_deadline,
  rates,
  count,
  throws,
  // servers
  connect,
  talk,
  hang_up,
  drain,
  renew_server,
  // datagrams
  send,
  pause_datagrams,
  resume_datagrams,
  renew_datagram,
  // coroutines
  spawn_sleep,
  spawn_push,
  spawn_pop,
  spawn_timeout,
  spawn_talk,
  spawn_throw,
  cancel,
  count_
};
inline constexpr auto kActions = static_cast<unsigned>(Action::count_);
[[nodiscard]] std::string_view name_of(Action action) noexcept;

// When it is done: at once, inside the next callback of the same actor, or inside the next one of
// anybody.
enum class Moment : std::uint8_t { now, in_its_callback, in_any_callback, count_ };

struct Operation {
  Action action;
  Moment moment;
  std::uint8_t actor;    // which of its kind
  std::uint32_t amount;  // bytes, milliseconds
};

using Program = std::vector<Operation>;

[[nodiscard]] Program make_program(std::uint64_t seed, std::size_t steps);

}  // namespace reactor::programs
