// SPDX-License-Identifier: MIT
#pragma once

#include <sys/socket.h>

namespace reactor {

// For send(2) and sendmsg(2) on a socket that may be somebody else's, and so may block and may lack
// SO_NOSIGPIPE: at once or not at all, and no SIGPIPE where the system has a flag for that.
#if defined(MSG_NOSIGNAL)
inline constexpr int kSendNow = MSG_DONTWAIT | MSG_NOSIGNAL;
#else
inline constexpr int kSendNow = MSG_DONTWAIT;
#endif

}  // namespace reactor
