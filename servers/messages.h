// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "reactor/base/clock.h"
#include "servers/options.h"

namespace servers {

[[nodiscard]] const char* name_of(Program program);

// To whoever started the program, on standard error, even if the log goes to a file. One line of at
// most reactor::kLongestLine bytes; what is longer is cut. Waits for a pipe's reader for a second
// at most.
void complain(Program program, const std::string& what);

// What a server says on standard output. A pipe that nobody reads holds it up for a second in all,
// then lines are dropped, which is logged.
class StandardOutput {
 public:
  void say(const std::string& line);

 private:
  reactor::Duration patience_ = std::chrono::seconds(1);
};

}  // namespace servers
