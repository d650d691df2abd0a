// SPDX-License-Identifier: MIT
#pragma once

struct ares_channeldata;

namespace reactor::dns {

// Makes c-ares use sockets of this library. Sockets that c-ares itself makes are not close-on-exec
// from the start, and raise SIGPIPE if a name server closes a TCP connection.
void use_own_sockets(ares_channeldata* channel) noexcept;

}  // namespace reactor::dns
