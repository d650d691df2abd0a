// SPDX-License-Identifier: MIT
#include "servers/control.h"

#include <algorithm>
#include <array>
#include <csignal>

#include "reactor/base/error.h"
#include "reactor/prefork/pid_file.h"

namespace servers {
namespace {

using reactor::prefork::PidFile;
using Kind = PidFile::Holder::Kind;

struct Row {
  Command command;
  const char* name;
  int signal;  // 0: none
};

constexpr std::array<Row, 6> kRows = {{{Command::reload, "reload", SIGHUP},
                                       {Command::stop, "stop", SIGTERM},
                                       {Command::quit, "quit", SIGQUIT},
                                       {Command::reopen, "reopen", SIGUSR1},
                                       {Command::upgrade, "upgrade", SIGUSR2},
                                       {Command::status, "status", 0}}};

// Returns the reason why no process can get the command.
std::string why_none(Kind kind, const std::string& pid_path) {
  if (kind == Kind::nobody) {
    return "no server runs with the pid file " + pid_path +
           "; start one, or give the --pid of the server that you mean";
  }
  if (kind == Kind::starting) {
    return "the server of " + pid_path + " is just starting; try again";
  }
  return "the server of " + pid_path +
         " runs in another pid namespace and has no pid in this one; send the command from in "
         "there (docker exec, nsenter --pid)";
}

}  // namespace

std::optional<Command> command_named(const std::string& name) {
  for (const Row& row : kRows) {
    if (name == row.name) return row.command;
  }
  return {};
}

Outcome control(Command command, const std::string& pid_path) {
  const Row& row = *std::find_if(kRows.begin(), kRows.end(),
                                 [command](const Row& each) { return each.command == command; });
  const std::string flag = std::string("--signal '") + row.name + "': ";
  const auto holder = PidFile::holder(pid_path);
  if (!holder) {
    return {1,
            flag + pid_path + ": " + holder.error().message() + "; give a file that may be read"};
  }
  if (holder->kind != Kind::process) return {1, flag + why_none(holder->kind, pid_path)};
  const std::string number = std::to_string(holder->pid);
  if (row.signal == 0) return {0, "running, pid " + number};
  if (::kill(holder->pid, row.signal) == 0) return {0, ""};
  return {1, flag + "pid " + number + ": " + reactor::last_system_error().message() +
                 "; be root, or the user that started it"};
}

}  // namespace servers
