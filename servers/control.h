// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

namespace servers {

// What a running master can be told by --signal.
enum class Command { reload, stop, quit, reopen, upgrade, status };

// Nothing where `name` is none of them.
[[nodiscard]] std::optional<Command> command_named(const std::string& name);

struct Outcome {
  int exit_code;
  std::string text;  // without an end of line; for standard output where the code is 0
};

// Sends the command's signal to the master that holds this pid file, and does not wait for what it
// does; `status` sends none. 1 where none runs or the signal can't be sent.
[[nodiscard]] Outcome control(Command command, const std::string& pid_path);

}  // namespace servers
