// SPDX-License-Identifier: MIT
#include "reactor/prefork/mailboxes.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "reactor/net/fd_passing.h"

namespace reactor::prefork {
namespace {

// Every message begins with it: an empty one could not carry a descriptor.
constexpr std::byte kVersion{1};

}  // namespace

std::error_code Mailboxes::grow(unsigned count) {
  while (boxes_.size() < count) {
    Result<std::pair<UniqueFd, UniqueFd>> pair = message_pair();
    if (!pair) return pair.error();
    boxes_.push_back({std::move(pair->first), std::move(pair->second)});
  }
  buffer_.resize(kMaxState + 1);
  return {};
}

void Mailboxes::adopt(std::vector<std::pair<UniqueFd, UniqueFd>> ends) {
  for (auto& pair : ends) boxes_.push_back({std::move(pair.first), std::move(pair.second)});
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
  std::copy(state.begin(), state.end(), message.begin() + 1);  // there may be none
  const IoResult result =
      send_with_descriptor(into(slot), std::span(message).first(state.size() + 1), connection);
  if (result.ok()) return true;
  // Descriptors under way count against a limit of the user's.
  if (result.would_block() || result.error().value() == ETOOMANYREFS) return false;
  return result.error();
}

Result<Letter> Mailboxes::receive(unsigned slot) noexcept {
  for (;;) {
    Letter letter;
    const IoResult result = receive_with_descriptor(out_of(slot), buffer_, letter.connection);
    if (result.would_block() || result.end()) return letter;
    if (result.is_error()) return result.error();
    if (!letter.connection) return make_error_code(std::errc::too_many_files_open);
    if (buffer_[0] != kVersion) continue;
    letter.state = std::span(buffer_).subspan(1, result.count() - 1);
    return letter;
  }
}

}  // namespace reactor::prefork
