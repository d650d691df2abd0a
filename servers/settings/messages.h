// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "reactor/base/clock.h"
#include "servers/settings/options.h"

namespace servers {

[[nodiscard]] const char* name_of(Program program);

// Writes a message to standard error, for the user who started the program, even if the log is in a
// file. The message is one line. Bytes beyond reactor::kLongestLine are dropped. Waits at most one
// second for a pipe's reader.
void complain(Program program, const std::string& what);

// StandardOutput writes the server's lines on standard output. If standard output is a pipe that
// has no room, all lines together wait for at most one second. Further lines are dropped, and the
// log says so.
class StandardOutput {
 public:
  void say(const std::string& line);

 private:
  reactor::Duration patience_ = std::chrono::seconds(1);
};

}  // namespace servers
