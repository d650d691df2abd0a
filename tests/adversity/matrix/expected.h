// SPDX-License-Identifier: MIT
// What the table (table.h) says of a cell.
#pragma once

#include <string_view>

namespace reactor::adversity {

// Whom an action concerns. stream: the callback's own connection, or else the neighbour's.
enum class Whose { nobody, stream, self, sibling, server };

enum class End {
  lives,      // goes on as if nothing had happened: reads, writes, and ends by close()
  gone,       // no callback after that; the peer is cut off
  closed,     // on_close() once, without an error; the peer has all that was written, then the end
  failed,     // on_close() once, with the error that was given
  aborted,    // on_close() once, with connection_aborted; the peer sees a reset
  timed_out,  // on_close() once, with timed_out
  detached,   // no on_close(); the socket that was given works
  half_closed,  // the peer has all that was written, then the end; what it writes still comes
  drained,      // connections are closed, the listener is gone, done is called once
  thrown,       // run() throws it, once; everybody lives
  stopped,      // run() returns, once; everybody lives
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
