// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <system_error>

namespace reactor::prefork {

// Lets the kernel give a connection to the listener of the worker that is pinned to the processor
// where its SYN came in. Connections from other processors are spread. `listener` is any one of a
// group of SO_REUSEPORT sockets. `processors` has one entry for each socket of the group, in the
// order in which the sockets began to listen (socket(7) SO_ATTACH_REUSEPORT_CBPF). Errors: those of
// setsockopt(2); not_supported. Private to prefork.
[[nodiscard]] std::error_code steer_by_processor(int listener, std::span<const int> processors);
// Ends the steering, if there is any. Does nothing before Linux 5.3, because older kernels can't
// end it.
void stop_steering(int listener) noexcept;

}  // namespace reactor::prefork
