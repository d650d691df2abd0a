// SPDX-License-Identifier: MIT
#include "reactor/net/tcp_options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>

#include "reactor/base/error.h"
#include "reactor/base/internal/c_string.h"

namespace reactor {
namespace {

// Stands for an option that this system does not have. It is never given to the kernel.
constexpr int kNone = -1;

#if defined(TCP_KEEPIDLE)
constexpr int kKeepIdle = TCP_KEEPIDLE;
#elif defined(TCP_KEEPALIVE)
constexpr int kKeepIdle = TCP_KEEPALIVE;
#else
constexpr int kKeepIdle = kNone;
#endif
#if defined(TCP_KEEPINTVL)
constexpr int kKeepInterval = TCP_KEEPINTVL;
#else
constexpr int kKeepInterval = kNone;
#endif
#if defined(TCP_KEEPCNT)
constexpr int kKeepCount = TCP_KEEPCNT;
#else
constexpr int kKeepCount = kNone;
#endif
#if defined(TCP_USER_TIMEOUT)
constexpr int kUserTimeout = TCP_USER_TIMEOUT;
#else
constexpr int kUserTimeout = kNone;
#endif
#if defined(TCP_QUICKACK)
constexpr int kQuickAck = TCP_QUICKACK;
#else
constexpr int kQuickAck = kNone;
#endif
#if defined(TCP_CONGESTION)
constexpr int kCongestion = TCP_CONGESTION;
#else
constexpr int kCongestion = kNone;
#endif
#if defined(TCP_FASTOPEN_CONNECT)
constexpr int kFastOpenConnect = TCP_FASTOPEN_CONNECT;
#else
constexpr int kFastOpenConnect = kNone;
#endif

Result<> set(int fd, int level, int name, const void* value, std::size_t size) {
  if (name == kNone) return Errc::not_supported;
  if (::setsockopt(fd, level, name, value, static_cast<socklen_t>(size)) == 0) return {};
  if (errno == ENOPROTOOPT || errno == EOPNOTSUPP) return Errc::not_supported;
  return last_system_error();
}

Result<> set(int fd, int name, std::int64_t value) {
  const int number = static_cast<int>(value);
  if (number != value) return system_error(EINVAL);
  return set(fd, IPPROTO_TCP, name, &number, sizeof(number));
}

Result<> set_keep_alive(int fd, const KeepAlive& wanted) {
  const int on = wanted.on ? 1 : 0;
  Result<> result = set(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  if (!result || !wanted.on) return result;
  result = set(fd, kKeepIdle, wanted.idle.count());
  if (result) result = set(fd, kKeepInterval, wanted.interval.count());
  if (result) result = set(fd, kKeepCount, wanted.count);
  return result;
}

}  // namespace

Result<> TcpOptions::apply(int fd) const {
  Result<> result;
  if (no_delay) result = set(fd, TCP_NODELAY, *no_delay ? 1 : 0);
  if (result && keep_alive) result = set_keep_alive(fd, *keep_alive);
  if (result && user_timeout) result = set(fd, kUserTimeout, user_timeout->count());
  if (result && quick_ack) result = set(fd, kQuickAck, *quick_ack ? 1 : 0);
  if (result && !is_c_string(congestion_control)) result = system_error(EINVAL);
  if (result && !congestion_control.empty()) {
    result =
        set(fd, IPPROTO_TCP, kCongestion, congestion_control.data(), congestion_control.size());
  }
  if (result && fast_open) result = set(fd, kFastOpenConnect, 1);
  return result;
}

}  // namespace reactor
