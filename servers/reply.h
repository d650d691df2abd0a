// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace servers {

// The answer of an echo server to the data that it read.
enum class Reply : std::uint8_t {
  raw,  // `data`
  pid,  // `PID: data`, with the pid of the process that read it
  time  // `Echo=>data at TIME`, in the format of asctime(3): `Sat Nov 21 14:46:14 2026`
};

[[nodiscard]] std::string to_reply(Reply reply, std::span<const std::byte> data);

}  // namespace servers
