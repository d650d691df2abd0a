// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <system_error>

namespace reactor::prefork {

// Has the kernel give a connection to the listener of the worker that is pinned to the processor
// where its SYN came in; those from other processors are spread. `listener` is any of a group of
// SO_REUSEPORT sockets, `processors` has one for each of them, in the order in which they were
// bound (socket(7) SO_ATTACH_REUSEPORT_CBPF). Errors: those of setsockopt(2); not_supported.
// Private to prefork.
[[nodiscard]] std::error_code steer_by_processor(int listener, std::span<const int> processors);
// Ends it, if it was so. Nothing before Linux 5.3, which can't.
void stop_steering(int listener) noexcept;

}  // namespace reactor::prefork
