// SPDX-License-Identifier: MIT
// Master: its part as the old program of an upgrade (upgrade.h).
#include <unistd.h>

#include <string>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/master.h"
#include "reactor/prefork/internal/system/close_apart.h"

namespace reactor::prefork {

// Returns why no upgrade can start now, or an empty string.
std::string Master::why_no_upgrade() const {
  if (upgrade_.running() || crew_.held()) return "one is under way already";
  if (::getpid() == 1) {
    return "the new program would end with this one, which is process 1; start another container";
  }
  if (options_.upgrade.command.empty()) return "no command is set for the new program";
  return {};
}

void Master::upgrade() {
  if (const std::string why = why_no_upgrade(); !why.empty()) {
    REACTOR_LOG(warn, "no upgrade: " + why);
    return;
  }
  UpgradeState state{.groups = listeners_.describe(), .mailboxes = {}};
  for (unsigned slot = 0; slot < mailboxes_.count(); ++slot) {
    state.mailboxes.emplace_back(mailboxes_.into(slot), mailboxes_.out_of(slot));
  }
  if (const std::error_code error = upgrade_.start(options_.upgrade, state, crew_.plan().timeout)) {
    REACTOR_LOG(error, "no upgrade: " + error.message());
    return;
  }
  const std::string process = "process " + std::to_string(upgrade_.pid());
  REACTOR_LOG(info, "upgrade: " + options_.upgrade.command[0] + " starts as " + process);
  herald_.note("an upgrade starts as " + process);
}

void Master::look_at_upgrade() {
  switch (upgrade_.look()) {
    case Upgrade::News::none:
      return;
    case Upgrade::News::failed:
      if (state_ != State::serving) return;
      REACTOR_LOG(error, "upgrade: " + upgrade_.failure() + "; this program goes on as before");
      herald_.note("the last upgrade failed: " + upgrade_.failure());
      listeners_.accept_new();  // the new program may have changed our sockets
      steer(crew_.plan());
      return;
    case Upgrade::News::ready:
      give_way();
  }
}

// The new program must not serve before the service manager knows its pid. Otherwise the end of
// this process would look like the end of the service to a manager that reads the message late.
// Until the message is in the manager's queue, this program goes on serving.
void Master::give_way() {
  const pid_t pid = upgrade_.pid();
  if (!herald_.change_main_pid(pid)) return;  // tried again soon
  REACTOR_LOG(info, "upgrade: process " + std::to_string(pid) + " is ready; this program ends");
  for (const int group : upgrade_.dropped()) drop(static_cast<unsigned>(group));
  listeners_.give_up_possession();
  upgrade_.let_go();
  state_ = State::draining;
  deadline_ =
      saturating_add(saturating_add(clock_.now(), crew_.plan().graceful_timeout), kKillDelay);
  crew_.give_way();
  if (options_.on_upgraded) options_.on_upgraded();
}

// Closes the master's copies of the group's sockets, and tells the workers to close theirs. The
// workers first accept the connections that are queued there.
void Master::drop(unsigned group) {
  close_apart(listeners_.drop(group));
  crew_.tell_all({.kind = Message::Kind::drop, .value = group});
}

}  // namespace reactor::prefork
