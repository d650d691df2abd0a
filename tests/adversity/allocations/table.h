// SPDX-License-Identifier: MIT
// How each scenario may end if an allocation in it fails. In any case nothing aborts, no memory and
// no descriptor is lost, the loop goes on, and the same scenario then passes on this loop.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "tests/adversity/allocations/scenarios.h"

namespace reactor::allocations {

enum End : std::uint8_t {
  kPasses = 1,     // the library did without the memory
  kThrows = 2,     // std::bad_alloc left the call that needed memory
  kLeavesRun = 4,  // a callback threw it, and it left Loop::run() (G6)
  // The library reports an error: a Result, on_close(), a 500, or the end of a connection.
  kTells = 8,
};

struct Scenario {
  std::string_view name;
  void (*run)(Scene& scene);
  unsigned ends;
};

// Making a handle either succeeds or throws.
inline constexpr unsigned kCalls = kThrows;
// If a user's callback can't get memory, its exception leaves run().
inline constexpr unsigned kLoops = kThrows | kLeavesRun;
// If a Stream can't get memory inside the loop, this Stream ends by on_close(), and nothing else
// does. A Stream that has already sent everything may still pass, but lingers for a shorter time.
inline constexpr unsigned kStreams = kPasses | kThrows | kTells;
// Accepting a connection needs memory in a callback of the loop itself.
inline constexpr unsigned kServers = kPasses | kThrows | kLeavesRun | kTells;

inline constexpr std::array kTable = {
    Scenario{"loop.made", &loop_made, kCalls | kTells},
    Scenario{"loop.timers", &loop_timers, kCalls},
    Scenario{"loop.watchers", &loop_watchers, kLoops | kTells},
    Scenario{"loop.posts", &loop_posts, kLoops},
    Scenario{"loop.deferred", &loop_deferred, kCalls},
    Scenario{"loop.signals", &loop_signals, kCalls | kTells},
    Scenario{"loop.children", &loop_children, kCalls | kPasses | kTells},
    Scenario{"loop.nested", &loop_nested, kLoops | kTells},
    Scenario{"net.stream", &net_stream, kStreams},
    Scenario{"net.stream_extras", &net_stream_extras, kStreams},
    Scenario{"net.stream_files", &net_stream_files, kStreams},
    Scenario{"net.stream_timeouts", &net_stream_timeouts, kStreams},
    Scenario{"net.stream_lingers", &net_stream_lingers, kStreams},
    Scenario{"net.stream_handed_out", &net_stream_handed_out, kStreams},
    Scenario{"net.listener", &net_listener, kLoops | kTells},
    Scenario{"net.socket_files", &net_socket_files, kCalls | kTells},
    Scenario{"net.connector", &net_connector, kStreams},
    Scenario{"net.datagrams", &net_datagrams, kStreams},
    Scenario{"net.datagrams_unix", &net_datagrams_unix, kStreams},
    Scenario{"net.server", &net_server, kServers},
    Scenario{"net.server_empty", &net_server_empty, kServers},
    Scenario{"net.server_proxy", &net_server_proxy, kServers},
    Scenario{"net.server_proxy_closed", &net_server_proxy_closed, kServers},
    Scenario{"net.server_hand_over", &net_server_hand_over, kServers},
    Scenario{"net.server_hand_over_again", &net_server_hand_over_again, kServers},
    Scenario{"net.server_steered", &net_server_steered, kServers},
    Scenario{"net.process", &net_process, kCalls | kTells},
    Scenario{"http.requests", &http_requests, kServers},
    Scenario{"http.large_answers", &http_large_answers, kServers},
    Scenario{"http.responders", &http_responders, kServers},
    Scenario{"http.events", &http_events, kServers},
    Scenario{"http.upgrade", &http_upgrade, kServers},
    Scenario{"http.fields", &http_fields, kServers},
    Scenario{"http.timeout", &http_timeout, kServers},
    Scenario{"http.limit", &http_limit, kServers},
    Scenario{"http.end_in_handler", &http_end_in_handler, kServers},
    Scenario{"http.access_log", &http_access_log, kServers},
    Scenario{"coro.tasks", &coro_tasks, kServers},
    Scenario{"coro.channels", &coro_channels, kServers},
    Scenario{"coro.datagrams", &coro_datagrams, kServers},
    Scenario{"coro.datagrams_kept", &coro_datagrams_kept, kStreams},
    Scenario{"coro.listener", &coro_listener, kServers},
    Scenario{"coro.server", &coro_server, kServers},
    Scenario{"dns.resolver", &dns_resolver, kServers},
    Scenario{"dns.host_connector", &dns_host_connector, kServers},
    Scenario{"tls.contexts", &tls_contexts, kCalls | kPasses | kTells},
    Scenario{"tls.server", &tls_server, kServers},
};

}  // namespace reactor::allocations
