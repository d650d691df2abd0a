// SPDX-License-Identifier: MIT
// Chooses the backend. The #if ladder that selects among the backends is only in this file.
#include "reactor/poller/internal/poller.h"

#include <unistd.h>

#include <cstdlib>

#include "reactor/base/error.h"

#if defined(__linux__)
#define REACTOR_HAS_EPOLL 1
#else
#define REACTOR_HAS_EPOLL 0
#endif
#if __has_include(<sys/event.h>)
#define REACTOR_HAS_KQUEUE 1
#else
#define REACTOR_HAS_KQUEUE 0
#endif

namespace reactor {
namespace {

Result<std::unique_ptr<Poller>> make_named_poller(Backend backend) {
  switch (backend) {
    case Backend::epoll:
#if REACTOR_HAS_EPOLL
      return make_epoll_poller();
#else
      break;
#endif
    case Backend::kqueue:
#if REACTOR_HAS_KQUEUE
      return make_kqueue_poller();
#else
      break;
#endif
    case Backend::select:
      return make_select_poller();
    case Backend::automatic:
      break;
  }
  return Errc::unknown_backend;
}

// Returns whether the environment can be trusted. In a set-uid or set-gid program it can't, because
// the user who started the program chose it (environ(7)).
bool trusts_environment() { return ::getuid() == ::geteuid() && ::getgid() == ::getegid(); }

}  // namespace

std::error_code Poller::add_process(pid_t, Token) { return Errc::not_supported; }
void Poller::remove_process(pid_t) noexcept {}

std::string_view to_string(Backend backend) noexcept {
  switch (backend) {
    case Backend::epoll:
      return "epoll";
    case Backend::kqueue:
      return "kqueue";
    case Backend::select:
      return "select";
    case Backend::automatic:
      break;
  }
  return "auto";
}

std::vector<Backend> available_backends() {
  std::vector<Backend> backends;
  if (REACTOR_HAS_EPOLL) backends.push_back(Backend::epoll);
  if (REACTOR_HAS_KQUEUE) backends.push_back(Backend::kqueue);
  backends.push_back(Backend::select);
  return backends;
}

Result<Backend> choose_backend(Backend wish) {
  if (wish != Backend::automatic) return wish;
  const char* word = trusts_environment() ? std::getenv("REACTOR_BACKEND") : nullptr;
  if (word == nullptr || *word == '\0') return Backend::automatic;
  for (const Backend backend :
       {Backend::automatic, Backend::epoll, Backend::kqueue, Backend::select}) {
    if (to_string(backend) == word) return backend;
  }
  return Errc::unknown_backend;
}

Result<std::unique_ptr<Poller>> make_poller(Backend backend, Backend* chosen) {
  const std::vector<Backend> candidates =
      backend == Backend::automatic ? available_backends() : std::vector<Backend>{backend};
  Result<std::unique_ptr<Poller>> poller = Errc::unknown_backend;
  for (const Backend candidate : candidates) {
    poller = make_named_poller(candidate);
    if (!poller) continue;
    if (chosen != nullptr) *chosen = candidate;
    break;
  }
  return poller;
}

}  // namespace reactor
