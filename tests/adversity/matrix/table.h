// SPDX-License-Identifier: MIT
// The table of the re-entrancy matrix: what an action does, to which object, and how that object
// ends. All other objects live on, and each cell checks that, too: the neighbour's bytes arrive,
// the sibling and the subject are called again, and run() ends when nothing is left.
//
// Patterns: "*" matches anything, "a|b" matches a or b, "a.*" matches all that begins with "a.".
#pragma once

#include <array>
#include <string_view>

#include "tests/adversity/matrix/expected.h"

namespace reactor::adversity {

struct Rule {
  std::string_view action;
  Whose whose;
  End end;
};

inline constexpr std::array kRules = {
    Rule{"nothing", Whose::nobody, End::lives},
    Rule{"destroy-self", Whose::self, End::gone},
    Rule{"destroy-owner", Whose::self, End::gone},
    Rule{"destroy-sibling", Whose::sibling, End::gone},
    Rule{"destroy-server", Whose::server, End::gone},
    Rule{"close", Whose::stream, End::closed},
    Rule{"close-lingering", Whose::stream, End::closed},
    Rule{"write-and-close", Whose::stream, End::closed},
    Rule{"close-and-write", Whose::stream, End::closed},
    Rule{"fail", Whose::stream, End::failed},
    Rule{"close-and-fail", Whose::stream, End::failed},
    Rule{"abort", Whose::stream, End::aborted},
    Rule{"detach", Whose::stream, End::detached},
    Rule{"shutdown", Whose::stream, End::half_closed},
    Rule{"pause", Whose::stream, End::lives},
    Rule{"pause-and-resume", Whose::stream, End::lives},
    Rule{"write", Whose::stream, End::lives},
    Rule{"write-room", Whose::stream, End::lives},
    Rule{"write-much", Whose::stream, End::lives},
    Rule{"send-file", Whose::stream, End::lives},
    Rule{"announce", Whose::stream, End::lives},
    Rule{"set-limits", Whose::stream, End::lives},
    Rule{"set-deadlines", Whose::stream, End::timed_out},
    Rule{"request-shutdown", Whose::stream, End::closed},
    Rule{"replace", Whose::self, End::lives},
    Rule{"drain", Whose::server, End::drained},
    Rule{"drain-twice", Whose::server, End::drained},
    Rule{"hand-over", Whose::server, End::drained},
    Rule{"throw", Whose::nobody, End::thrown},
    Rule{"post", Whose::nobody, End::lives},
    Rule{"stop", Whose::nobody, End::stopped},
    Rule{"nested-run", Whose::nobody, End::lives},
};

struct Exception {
  std::string_view callback, action, carrier, when;
  End end;
  std::string_view reason;
};

inline constexpr std::string_view kOnStream =
    "close|close-lingering|write-and-close|close-and-write|fail|close-and-fail|abort|detach|"
    "shutdown|pause|pause-and-resume|write|write-room|write-much|send-file|announce|set-limits|"
    "set-deadlines|request-shutdown";

inline constexpr std::array kExceptions = {
    Exception{"bare.close|served.close", kOnStream, "*", "*", End::closed,
              "it has ended already: nothing more happens to it"},
    Exception{"bare.close|served.close", "replace", "*", "*", End::closed,
              "it has ended already: nothing more happens to it"},
    Exception{"served.*", "destroy-sibling", "*", "*", End::aborted,
              "a server's connections are the server's: the action is abort()"},
    Exception{"http.request|http.head", "throw", "*", "now", End::lives,
              "it is answered with a 500"},
    Exception{"http.body|http.drain|http.close|http.events_close|http.events_drain", "throw", "*",
              "now", End::lives, "it ends the Responder's connection, and no other"},
    Exception{"bare.migrate_now|served.migrate_now", kOnStream, "*", "deferred|posted", End::moved,
              "it has moved already: nothing more happens to it"},
    Exception{"bare.migrate_now|served.migrate_now",
              "pause|pause-and-resume|write|write-room|announce|set-limits|set-deadlines|replace",
              "*", "*", End::moved, "nothing is queued and nothing ends, so it moves"},
    Exception{"server.send",
              "shutdown|pause|pause-and-resume|write|write-room|write-much|send-file|announce|"
              "set-limits|set-deadlines",
              "*", "*", End::closed, "it is asked to finish, because the target refuses it"},
    Exception{"server.send", "detach", "tls", "*", End::closed, "not_supported with a transport"},
    Exception{"*", "detach", "tls", "*", End::lives, "not_supported with a transport"},
};

struct LeftOut {
  std::string_view callback, action, carrier, when;
  std::string_view reason;
};

inline constexpr std::array kLeftOut = {
    LeftOut{"bare.*", "*", "proxy", "*", "the PROXY header is a server's"},
    LeftOut{"served.adopt", "*", "proxy|tls", "*",
            "what another process hands over comes without a header, and plain"},
    LeftOut{"bare.adopt", "*", "tls", "*", "with a transport it is never handed over"},
    LeftOut{"bare.migrate*|served.migrate*|server.send", "*", "tls", "*",
            "with a transport it is never handed over"},
    LeftOut{"served.*", "destroy-self", "*", "*", "a server's connections are the server's"},
    LeftOut{"served.*", "destroy-owner", "*", "*", "that is destroy-server"},
    LeftOut{"served.open|served.adopt", "destroy-sibling", "*", "*", "it is not accepted yet"},
    LeftOut{"served.shutdown|served.close", "destroy-sibling", "*", "*",
            "the sibling ends by itself at that moment"},
    LeftOut{"bare.close|served.close|process.close", "throw", "*", "now", "on_close() is noexcept"},
    LeftOut{"server.*", "destroy-sibling", "*", "*", "a server has one function of each sort"},
    LeftOut{"server.*", "destroy-owner", "*", "*", "that is destroy-server"},
    LeftOut{"loop.*|child.*|listener.*|datagram.*|connector.*|dns.*|process.*|server.factory|"
            "server.visit|server.constructor|server.send|transport.*|owner.*|target.*|ending.*|"
            "coserver.*",
            "replace", "*", "*", "its callable or handler can't be replaced"},
    LeftOut{"loop.*|server.factory|server.visit|server.constructor|server.send|coserver.*",
            "destroy-self", "*", "*", "there is no object to destroy, but the loop or the server"},
    LeftOut{"loop.*", "destroy-owner|destroy-sibling", "*", "*",
            "there is no object to destroy, but the loop"},
    LeftOut{"coserver.*", "destroy-sibling", "*", "*", "there is no object to destroy"},
    LeftOut{"coserver.*", "destroy-owner|destroy-server", "*", "now",
            "a coro::Server is never destroyed from inside its coroutines (coro/server.h)"},
    LeftOut{"server.constructor", "destroy-server|destroy-owner", "*", "now",
            "it must not destroy the server (server.h)"},
    LeftOut{"server.send", kOnStream, "*", "deferred|posted", "no connection is left"},
    LeftOut{"server.send|target.send|owner.*|ending.*", "throw", "*", "now", "it is noexcept"},
    LeftOut{"transport.open_is_costly|transport.open_limit|transport.read_needs|"
            "transport.has_input|transport.can_read|transport.release|transport.error|"
            "transport.end_writing",
            "throw", "*", "now", "it is noexcept"},
    LeftOut{"transport.*", "write-room", "*", "now", "it must not call it (transport.h)"},
    LeftOut{"transport.*", "destroy-self|destroy-owner", "*", "now",
            "it must not end its own Stream (transport.h)"},
    LeftOut{"owner.stream_idle", "destroy-self|destroy-owner", "*", "now",
            "it must do nothing to the Stream yet (stream_handler.h)"},
    LeftOut{"tls.*",
            "destroy-owner|destroy-server|close|close-lingering|write-and-close|close-and-write|"
            "fail|close-and-fail|abort|detach|shutdown|request-shutdown",
            "*", "now", "it must not end Streams (server_context.h)"},
    LeftOut{"transport.*|owner.*|target.*|ending.*", "request-shutdown", "*", "now",
            "not from a callback of another Stream (stream.h)"},
    LeftOut{"server.drained|server.handed_over", kOnStream, "*", "*", "no connection is left"},
    LeftOut{"listener.takes_more", "throw", "*", "now", "takes_more() is noexcept"},
    LeftOut{"server.factory", "*", "tls|proxy", "*", "its own factory makes plain connections"},
    LeftOut{"child.*|process.*|dns.*|connector.*|datagram.*|loop.*|signal.*|timer.period|"
            "transport.*|tls.*|owner.*|target.*|ending.*",
            "*", "extras|proxy", "*", "what a neighbour does with its extras the others show"},
    LeftOut{"coro.*|task.*", "destroy-self|destroy-owner", "*", "now",
            "a task is never ended from inside itself"},
    LeftOut{"coro.*|task.*", "replace", "*", "*", "a coroutine can't be replaced"},
    LeftOut{"coro.*", "*", "extras|proxy|tls", "*", "no connection is awaited"},
    LeftOut{"task.*", "*", "proxy", "*", "the PROXY header is a server's"},
    LeftOut{"task.write|task.flush", "destroy-sibling", "*", "*",
            "a part of what the sibling writes was sent (coro/stream.h)"},
    LeftOut{"task.*", "detach", "*", "*", "coro::Stream has its own: coro/stream_test.cc"},
    LeftOut{"task.*", "request-shutdown|hand-over|drain|drain-twice", "*", "*",
            "the coroutine decides how it ends; coro/server_test.cc tells"},
    LeftOut{"http.request|http.head|http.close|http.events_close|http.upgraded_*|"
            "http.adopt_upgraded",
            "replace", "*", "*", "its callable or handler can't be replaced"},
    LeftOut{"http.request|http.head|http.close|http.events_close|http.upgraded_*|"
            "http.adopt_upgraded",
            "destroy-self", "*", "*", "there is no object to destroy, but the server"},
    LeftOut{"http.body|http.drain|http.events_drain", "replace", "*", "deferred|posted",
            "the content, or the answer, may be over by then"},
    LeftOut{"http.drained|http.handed_over", "drain|drain-twice|hand-over", "*", "*",
            "it has drained"},
    LeftOut{"http.upgraded_hand_over", "*", "tls", "*",
            "the handler of a connection with a transport is not asked (stream.h)"},
    LeftOut{"http.*", "request-shutdown", "*", "now",
            "not from a callback of another Stream (stream.h)"},
    LeftOut{"child.*|process.*", "*", "tls", "*", "a fork takes long"},
};

}  // namespace reactor::adversity
