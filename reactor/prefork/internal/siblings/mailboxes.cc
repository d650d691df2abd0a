// SPDX-License-Identifier: MIT
// Mailboxes: each is a pair of unix sockets that keep packets apart (SOCK_SEQPACKET or similar).
// Each packet is a version byte and the message of the hand-over, with the connection's descriptor
// attached.
#include "reactor/prefork/internal/siblings/mailboxes.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "reactor/base/internal/descriptors.h"
#include "reactor/net/fd_passing.h"
#include "reactor/prefork/internal/system/close_apart.h"

namespace reactor::prefork {
namespace {

// Every message begins with this byte, because an empty message could not carry a descriptor.
constexpr std::byte kVersion{1};
// Bytes of a send buffer: room for some tens of connections, so that not many wait for a worker
// that takes none.
constexpr int kRoom = 16384;

// Returns whether the mailbox is shut, so that nobody can send to it. Reading 0 bytes does not
// prove that, because an empty message gives 0 bytes too.
bool is_shut(int mailbox) noexcept {
#if defined(POLLRDHUP)
  constexpr short kShut = POLLHUP | POLLRDHUP;
#else
  constexpr short kShut = POLLHUP;
#endif
  pollfd state{mailbox, kShut, 0};
  return ::poll(&state, 1, 0) == 1 && (state.revents & kShut) != 0;
}

bool is_stream_socket(int fd) noexcept {
  int type = 0;
  socklen_t length = sizeof type;
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_STREAM;
}

}  // namespace

std::error_code Mailboxes::grow(unsigned count) {
  while (boxes_.size() < count) {
    Result<std::pair<UniqueFd, UniqueFd>> pair = message_pair();
    if (!pair) return pair.error();
    ::setsockopt(pair->first.get(), SOL_SOCKET, SO_SNDBUF, &kRoom, sizeof kRoom);
    ::shutdown(pair->first.get(), SHUT_RD);  // nothing may come back this way
    boxes_.push_back({std::move(pair->first), std::move(pair->second)});
  }
  return {};
}

void Mailboxes::shrink(unsigned count) {
  while (boxes_.size() > count) boxes_.pop_back();
}

void Mailboxes::adopt(std::vector<std::pair<UniqueFd, UniqueFd>> ends) {
  for (auto& pair : ends) earlier_.push_back(std::move(pair.second));
}

bool Mailboxes::waits(unsigned slot) const noexcept {
  int bytes = 0;
  return ::ioctl(out_of(slot), FIONREAD, &bytes) == 0 && bytes > 0;
}

void Mailboxes::close() noexcept {
  boxes_.clear();
  earlier_.clear();
}

void Mailboxes::leave() {
  std::vector<UniqueFd> ends = std::move(earlier_);
  for (Box& box : boxes_) {
    for (UniqueFd* const end : {&box.in, &box.out}) ends.push_back(std::move(*end));
  }
  close();
  close_apart(std::move(ends));
}

void Mailboxes::learn(unsigned slot, End end, UniqueFd descriptor) {
  if (slot >= boxes_.size()) boxes_.resize(slot + 1);
  (end == End::in ? boxes_[slot].in : boxes_[slot].out) = std::move(descriptor);
}

Result<bool> Mailboxes::send(unsigned slot, int connection,
                             std::span<const std::byte> state) const noexcept {
  if (state.size() > kMaxState) return make_error_code(std::errc::message_size);
  std::array<std::byte, kMaxState + 1> message;
  message[0] = kVersion;
  std::copy(state.begin(), state.end(), message.begin() + 1);  // `state` may be empty
  const IoResult result =
      send_with_descriptor(into(slot), std::span(message).first(state.size() + 1), connection);
  if (result.ok()) return true;
  if (result.would_block()) return false;
  // Descriptors in flight count against a limit of the user.
  const int number = result.error().value();
  if (number == ETOOMANYREFS || number == ENOMEM) return false;
  return result.error();
}

Result<MailedConnection> Mailboxes::receive(int mailbox) noexcept {
  // prefork starts no thread in a worker that could take the free descriptor before the call below.
  if (lowest_free_descriptor(mailbox) < 0) return make_error_code(std::errc::too_many_files_open);
  MailedConnection mailed;
  const IoResult result = receive_with_descriptor(mailbox, buffer_, mailed.connection);
  mailed.ended = result.end() && is_shut(mailbox);
  if (result.would_block() || mailed.ended) return mailed;
  if (result.is_error()) return result.error();
  if (result.end() || buffer_[0] != kVersion || !is_stream_socket(mailed.connection.get())) {
    return make_error_code(std::errc::bad_message);
  }
  mailed.state = std::span(buffer_).subspan(1, result.count() - 1);
  return mailed;
}

}  // namespace reactor::prefork
