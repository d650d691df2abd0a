// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

namespace servers {

// The commands that --signal can send to a running master.
enum class Command { reload, stop, quit, reopen, upgrade, status };

// Returns the command called `name`, or nothing if there is none.
[[nodiscard]] std::optional<Command> command_named(const std::string& name);

struct Outcome {
  int exit_code;
  std::string text;  // without a line end; for standard output if the code is 0
};

// Sends the command's signal to the master that holds this pid file, and does not wait for its
// effect. `status` sends no signal. The exit code is 1 if no master is running, if the pid file
// can't be read, or if the signal can't be sent.
[[nodiscard]] Outcome control(Command command, const std::string& pid_path);

}  // namespace servers
