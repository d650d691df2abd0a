// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "reactor/base/clock.h"
#include "servers/settings/options.h"

namespace servers {

[[nodiscard]] const char* name_of(Program program);

// Writes a message to standard error, for the user who started the program, even if the log goes to
// a file. Writes one line of at most reactor::kLongestLine bytes and cuts a longer one. Waits at
// most one second for a pipe's reader.
void complain(Program program, const std::string& what);

// StandardOutput writes the server's lines on standard output. If a pipe there has no room, all
// lines together wait for one second; then lines are dropped, and the log says so.
class StandardOutput {
 public:
  void say(const std::string& line);

 private:
  reactor::Duration patience_ = std::chrono::seconds(1);
};

}  // namespace servers
