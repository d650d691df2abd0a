// SPDX-License-Identifier: MIT
#include "tests/support/script_transport.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace reactor {

std::string marked(std::string text) {
  for (char& byte : text) byte = static_cast<char>(byte ^ ScriptTransport::kMark);
  return text;
}

IoResult ScriptTransport::open(int fd) {
  ++script_.opens;
  while (script_.open_rounds > 0) {
    std::array<std::byte, 1> byte;
    const IoResult result = Socket::receive(fd, byte);
    if (!result.ok()) return result;
    --script_.open_rounds;
    if (script_.writes_first && !Socket::send(fd, byte).moved(1)) return IoResult::failed(EIO);
  }
  return IoResult::bytes(0);
}

// While `swaps` are left, every other call fails and asks for the direction that it normally never
// needs, as TLS does during a new handshake.
bool ScriptTransport::swap(Interest& needs, Interest own, Interest other) {
  if (script_.swaps == 0 || needs == other) {
    needs = own;
    return false;
  }
  --script_.swaps;
  needs = other;
  return true;
}

IoResult ScriptTransport::read(int fd, std::span<std::byte> buffer) {
  ++script_.reads;
  if (script_.fail_read_with != 0) return IoResult::failed(script_.fail_read_with);
  if (swap(read_needs_, Interest::read, Interest::write)) return IoResult::blocked();
  if (ahead_.empty()) {
    std::string room(std::max(script_.read_ahead, std::min(script_.piece, buffer.size())), '\0');
    const IoResult result = Socket::receive(fd, std::as_writable_bytes(std::span(room)));
    if (!result.ok()) return result;
    room.resize(result.count());
    ahead_ = marked(std::move(room));
  }
  const std::size_t count = std::min({ahead_.size(), script_.piece, buffer.size()});
  std::memcpy(buffer.data(), ahead_.data(), count);
  ahead_.erase(0, count);
  return IoResult::bytes(count);
}

IoResult ScriptTransport::write(int fd, std::span<const std::byte> bytes) {
  ++script_.writes;
  if (swap(write_needs_, Interest::write, Interest::read)) return IoResult::blocked();
  const std::string text =
      marked({reinterpret_cast<const char*>(bytes.data()), std::min(bytes.size(), script_.piece)});
  return Socket::send(fd, std::as_bytes(std::span(text)));
}

IoResult ScriptTransport::end_writing(int) noexcept {
  ++script_.ends;
  write_needs_ = Interest::write;
  return script_.reluctant_ends-- > 0 ? IoResult::blocked() : IoResult::bytes(0);
}

std::error_code ScriptTransport::error(IoResult failed) const noexcept {
  return script_.error_name ? script_.error_name : failed.error();
}

}  // namespace reactor
