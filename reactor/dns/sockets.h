// SPDX-License-Identifier: MIT
#pragma once

struct ares_channeldata;

namespace reactor::dns {

// Gives c-ares sockets like all of ours: its own are not close-on-exec from the start, and a name
// server that closes a TCP connection would raise SIGPIPE.
void use_own_sockets(ares_channeldata* channel) noexcept;

}  // namespace reactor::dns
