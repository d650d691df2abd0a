// SPDX-License-Identifier: MIT
// What holds in every program, whatever it does. The numbers G1-G12 are those of
// reactor/loop/loop.h.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace reactor::programs {

enum class Rule : std::uint8_t {
  after_the_end,
  once,
  read_buffer,
  inside_a_call,
  bytes,
  whole,
  reason,
  early,
  order,
  posted,
  deferred,
  interest,
  datagrams,
  drained,
  objects,
  coroutines,
  exception,
  run_ends,
  descriptors,
  loop_end,
};

struct RuleText {
  Rule rule;
  std::string_view text;
};

inline constexpr std::array kRules = {
    RuleText{Rule::after_the_end, "G1: nothing is called after stop(), destruction or on_close()"},
    RuleText{Rule::once, "on_open() and on_close() come once at the most, on_end() once"},
    RuleText{Rule::read_buffer,
             "no on_data() follows a read_buffer() that paused, closed or failed the Stream"},
    RuleText{Rule::inside_a_call,
             "no callback of a Stream runs inside its write(), close(), fail()"},
    RuleText{Rule::bytes, "bytes arrive in order, and none that was not sent"},
    RuleText{Rule::whole,
             "all comes that a peer wrote, unless it failed, or closed although input waited"},
    RuleText{Rule::reason, "on_close() gives what ended the Stream, and comes within the limit"},
    RuleText{Rule::early, "G4: no timer, sleep or limit is early"},
    RuleText{Rule::order, "G4: timers come in the order of their ticks, then of their starts"},
    RuleText{Rule::posted, "posted calls run once each, in their order"},
    RuleText{Rule::deferred, "a deferred call runs once for all times it was scheduled"},
    RuleText{Rule::interest, "G5: a watcher hears only of what it asks for, and of all of that"},
    RuleText{Rule::datagrams, "datagrams come whole, in order, each once"},
    RuleText{Rule::drained, "drain() calls back once, when no connection is left"},
    RuleText{Rule::objects, "a server has one handler for each connection that it counts"},
    RuleText{Rule::coroutines, "a coroutine ends once; ended or cancelled, its frame is gone"},
    RuleText{Rule::exception,
             "G6: only what a callback throws leaves run(), and the rest runs later"},
    RuleText{Rule::run_ends, "run() ends when nothing is left to wait for"},
    RuleText{Rule::descriptors, "no descriptor is leaked or lost"},
    RuleText{Rule::loop_end, "G12: what was made with a loop may end before it, or after"},
};

// Tells which rule was broken, and ends the process.
[[noreturn]] void broken(Rule rule, std::string_view detail = {}) noexcept;
inline void require(bool holds, Rule rule, std::string_view detail = {}) noexcept {
  if (!holds) broken(rule, detail);
}

}  // namespace reactor::programs
