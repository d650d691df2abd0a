// SPDX-License-Identifier: MIT
// What the table (table.h) expects of a cell.
#pragma once

#include <string_view>

namespace reactor::adversity {

// The target of an action. `stream` is the callback's own connection, or the neighbour if there is
// none.
enum class Whose { nobody, stream, self, sibling, server };

enum class End {
  lives,        // goes on undisturbed: reads, writes, and ends by close()
  gone,         // no callback after the action; the peer is cut off
  closed,       // on_close() once, without an error; the peer gets all bytes, then the end
  failed,       // on_close() once, with the error that the action passed
  aborted,      // on_close() once, with connection_aborted; the peer sees a reset
  timed_out,    // on_close() once, with timed_out
  detached,     // no on_close(); the socket from detach() works
  moved,        // on_close() once, without an error; the copy that another process has works
  half_closed,  // the peer gets all bytes, then the end; the peer's bytes still arrive
  drained,      // connections are closed, the listener is gone, `done` is called once
  thrown,       // run() throws it once; all objects live
  stopped,      // run() returns once; all objects live
};

struct Expected {
  Whose whose = Whose::nobody;
  End end = End::lives;
  std::string_view left_out;  // the reason; empty for a cell that is played
};

struct Cell;
[[nodiscard]] Expected expected_of(const Cell& cell);
[[nodiscard]] bool matches(std::string_view pattern, std::string_view text);
[[nodiscard]] std::string_view to_string(End end);

}  // namespace reactor::adversity
