// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/system/parent.h"

#include <unistd.h>

#include <csignal>

#include "reactor/prefork/prefork_options.h"
#if defined(__linux__)
#include <sys/prctl.h>
#endif

namespace reactor::prefork {

void die_with(pid_t parent) noexcept {
#if defined(__linux__)
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
  if (::getppid() != parent) ::_exit(kExitFailed);  // the parent died before prctl(2) took effect
}

}  // namespace reactor::prefork
