// SPDX-License-Identifier: MIT
// Control: both ends of the channel between the master and a worker. No call on either end waits.
#include "reactor/prefork/internal/control.h"

#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/internal/descriptors.h"
#include "reactor/base/internal/sigpipe.h"
#include "reactor/net/fd_passing.h"
#include "reactor/net/socket.h"

namespace reactor::prefork {
namespace {

using Bytes = std::array<std::byte, sizeof(Message)>;

}  // namespace

// Uses a stream socket, because every platform reports the end of file of such a socket. A message
// is so small that the kernel takes it in one piece, or not at all.
Result<ControlPair> make_control() {
  std::array<int, 2> socket{};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, socket.data()) != 0) return last_system_error();
  UniqueFd to_worker(socket[0]);
  UniqueFd from_master(socket[1]);
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return last_system_error();
  UniqueFd from_worker(pipe[0]);
  UniqueFd to_master(pipe[1]);
  for (const int fd : {socket[0], socket[1], pipe[0], pipe[1]}) {
    if (!make_private(fd)) return last_system_error();
  }
  if (::shutdown(to_worker.get(), SHUT_RD) != 0) return last_system_error();
  return ControlPair{Control(std::move(to_worker), std::move(from_worker)),
                     WorkerControl(std::move(from_master), std::move(to_master))};
}

// ---- The master's end ----

void Control::close() noexcept {
  messages_.reset();
  notices_.reset();
}

bool Control::send(const Message& message, int descriptor) const noexcept {
  Bytes bytes;
  std::memcpy(bytes.data(), &message, sizeof message);
  return send_with_descriptor(messages_.get(), bytes, descriptor).moved(bytes.size());
}

Control::Heard Control::hear() noexcept {
  std::uint8_t byte = 0;
  const ssize_t count = ::read(notices_.get(), &byte, 1);
  if (count < 0) return errno == EAGAIN || errno == EINTR ? Heard::nothing : Heard::ended;
  if (count == 0) return Heard::ended;
  if (byte != said_ + 1 || byte > static_cast<std::uint8_t>(Notice::renew)) {
    return Heard::broken_rules;
  }
  said_ = byte;
  return Notice{byte} == Notice::ready ? Heard::ready : Heard::renew;
}

// ---- The worker's end ----

// Whether the next message brings a descriptor for which no number is free. If the message were
// received now, the kernel would drop the descriptor.
bool WorkerControl::must_wait() const noexcept {
  if (lowest_free_descriptor(messages_.get()) >= 0) return false;
  Message next;
  const IoResult peeked =
      Socket::peek(messages_.get(), std::as_writable_bytes(std::span(&next, 1)));
  return peeked.count() == sizeof next && next.kind == Message::Kind::sibling;
}

WorkerControl::Received WorkerControl::receive() const noexcept {
  Bytes bytes;
  Received received;
  received.later = must_wait();
  if (received.later) return received;
  const IoResult result = receive_with_descriptor(messages_.get(), bytes, received.descriptor);
  // Another thread may have taken the last free number after must_wait(). The kernel then drops the
  // descriptor. This function ignores the message, and the channel stays open.
  const bool lost = result.error() == std::errc::too_many_files_open;
  if (result.would_block() || lost) return received;
  received.later = result.is_error() && is_transient(result.error());
  if (received.later) return received;
  if (!result.moved(bytes.size())) {
    received.ended = true;
    return received;
  }
  received.message.emplace();
  std::memcpy(&*received.message, bytes.data(), bytes.size());
  return received;
}

bool WorkerControl::say_ready() noexcept {
  if (std::exchange(ready_, true)) return true;
  return say(Notice::ready) && (!renewal_ || say(Notice::renew));
}

void WorkerControl::ask_for_successor() noexcept {
  if (!std::exchange(renewal_, true) && ready_) say(Notice::renew);
}

bool WorkerControl::say(Notice notice) const noexcept {
  SigpipeBlock blocked;
  const ssize_t count = ::write(notices_.get(), &notice, sizeof notice);
  blocked.take_back(count, sizeof notice);
  return count == sizeof notice;
}

}  // namespace reactor::prefork
