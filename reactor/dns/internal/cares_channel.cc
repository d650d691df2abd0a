// SPDX-License-Identifier: MIT
// c-ares has no thread and no timer of its own. It calls on_socket_state() to say which sockets to
// watch, and ares_timeout(3) returns the time until it must be called again. A ready socket and the
// timer both lead to process(), which lets c-ares read, send, repeat and give up:
//
//   socket ready, timer --> process() --> c-ares --> on_socket_state(), Lookup's callback
//                               +-------> settle(): sets the timer anew
#include "reactor/dns/internal/cares_channel.h"

#include <ares.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include "reactor/base/internal/c_string.h"
#include "reactor/dns/dns_error.h"
#include "reactor/dns/internal/sockets.h"
#include "reactor/dns/resolver.h"

namespace reactor::dns {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

int whole_milliseconds(Duration time) noexcept {
  constexpr auto kMost = milliseconds(std::numeric_limits<int>::max());
  const auto rounded = std::chrono::ceil<milliseconds>(std::min<Duration>(time, kMost));
  return static_cast<int>(std::max(rounded, milliseconds(1)).count());
}

std::error_code option_error(int status) noexcept {
  if (status == ARES_SUCCESS) return {};
  if (status == ARES_ENOMEM) return std::make_error_code(std::errc::not_enough_memory);
  return Errc::bad_options;
}

// Initializes c-ares once for the process. Nothing has to be freed at the end.
int init_library() noexcept {
  static const int status = ::ares_library_init(ARES_LIB_INIT_ALL);
  return status;
}

}  // namespace

Channel::Channel(Loop& loop, SourceLocation where)
    : loop_(&loop),
      where_(where),
      timer_(loop.timer([this] { process(ARES_SOCKET_BAD, ARES_SOCKET_BAD); }, where)) {}

Result<std::unique_ptr<Channel>> Channel::open(Loop& loop, const ResolverOptions& options,
                                               SourceLocation where) {
  std::unique_ptr<Channel> channel(new Channel(loop, where));
  if (const std::error_code error = channel->init(options)) return error;
  return channel;
}

std::error_code Channel::init(const ResolverOptions& options) {
  if (const int status = init_library(); status != ARES_SUCCESS) return option_error(status);
  if (!is_c_string(options.configuration)) return Errc::bad_options;
  std::string lookups = options.hosts_file ? "fb" : "b";
  std::string configuration = options.configuration;
  ares_options settings{};
  settings.timeout = whole_milliseconds(options.try_timeout);
  settings.tries = std::max(options.tries, 1);
  settings.lookups = lookups.data();
  settings.resolvconf_path = configuration.data();
  settings.sock_state_cb = &Channel::on_socket_state;
  settings.sock_state_cb_data = this;
  const int status = ::ares_init_options(&channel_, &settings,
                                         ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_LOOKUPS |
                                             ARES_OPT_RESOLVCONF | ARES_OPT_SOCK_STATE_CB);
  if (status != ARES_SUCCESS) return option_error(status);
  use_own_sockets(channel_);
  return set_servers(options);
}

std::error_code Channel::set_servers(const ResolverOptions& options) {
  constexpr std::uint16_t kDnsPort = 53;
  if (options.servers.empty()) return {};
  std::string list;
  for (const Address& server : options.servers) {
    if (server.family() != AF_INET && server.family() != AF_INET6) return Errc::bad_options;
    const Address whole = server.port() == 0 ? server.with_port(kDnsPort) : server;
    list += (list.empty() ? "" : ",") + whole.to_string();
  }
  return option_error(::ares_set_servers_ports_csv(channel_, list.c_str()));
}

Channel::~Channel() {
  if (channel_ != nullptr) ::ares_destroy(channel_);
}

// c-ares reports that it wants neither event before it closes a socket, so the watcher always ends
// first (G8).
void Channel::on_socket_state(void* self, int fd, int readable, int writable) noexcept {
  auto& channel = *static_cast<Channel*>(self);
  const Interest read = readable != 0 ? Interest::read : Interest::none;
  const Interest write = writable != 0 ? Interest::write : Interest::none;
  try {
    channel.watch(fd, read | write);
  } catch (const std::bad_alloc&) {  // it can't be watched
  }
}

// If a socket can't be watched, c-ares gets no answer from that server, and asks the next one.
void Channel::watch(int fd, Interest interest) {
  if (!any(interest)) {
    watchers_.erase(fd);
    return;
  }
  IoWatcher& watcher = watchers_[fd];
  if (watcher) {
    static_cast<void>(watcher.set(interest));
    return;
  }
  Result<IoWatcher> made = loop_->watch(
      fd, interest,
      [this, fd](Ready ready) {
        process(ready.readable() ? fd : ARES_SOCKET_BAD, ready.writable() ? fd : ARES_SOCKET_BAD);
      },
      where_);
  if (!made) return;
  watcher = std::move(*made);
  watcher.unref();  // the timer keeps run() going: it runs while there are lookups
}

void Channel::process(int readable_fd, int writable_fd) {
  ::ares_process_fd(channel_, readable_fd, writable_fd);
  settle();
}

void Channel::settle() {
  timeval left{};
  if (::ares_timeout(channel_, nullptr, &left) == nullptr) {
    timer_.stop();
  } else {
    timer_.start(std::chrono::seconds(left.tv_sec) + microseconds(left.tv_usec));
  }
}

}  // namespace reactor::dns
