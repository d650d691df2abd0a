// SPDX-License-Identifier: MIT
#pragma once

#include <sys/socket.h>

namespace reactor {

// kSendNow has the flags for send(2) and sendmsg(2) on a socket that another process may have made,
// and that therefore may be blocking and may lack SO_NOSIGPIPE. The call never waits, and it raises
// no SIGPIPE if the system has a flag for that.
#if defined(MSG_NOSIGNAL)
inline constexpr int kSendNow = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
inline constexpr int kSendNow = MSG_DONTWAIT;
#endif

}  // namespace reactor
