// SPDX-License-Identifier: MIT
// ListenerTable: repairs listeners that a worker made deaf, and tracks the order in which the
// kernel numbers the sockets of a group.
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/log.h"
#include "reactor/prefork/internal/listener_table.h"
#include "reactor/prefork/internal/system/close_apart.h"

namespace reactor::prefork {
namespace {

// Updates `order`, which is our record of the kernel's order of a group. Call it after some sockets
// have left the group and joined it again; `moved` lists their slots. If a socket leaves, the
// kernel moves the last one to its position. A socket that begins to listen becomes the last one.
// If several sockets left, it is unknown which of them left first. This function assumes the order
// of the slots. A wrong guess only sends connections to a worker on another processor.
void note_moves(std::vector<std::size_t>& order, const std::vector<std::size_t>& moved) {
  for (const std::size_t slot : moved) {
    *std::find(order.begin(), order.end(), slot) = order.back();
    order.pop_back();
  }
  order.insert(order.end(), moved.begin(), moved.end());
}

}  // namespace

std::vector<std::size_t> ListenerTable::Group::kernel_order() const {
  std::vector<std::size_t> slots = order;
  while (slots.size() < sockets.size()) slots.push_back(slots.size());
  return slots;
}

unsigned ListenerTable::mend() {
  std::vector<std::pair<Group*, std::size_t>> listeners;  // a group, and a slot in it
  std::vector<int> numbers;
  for (Group& group : listeners_) {
    if (group.lent || group.datagrams()) continue;
    for (std::size_t slot = 0; slot < group.sockets.size(); ++slot) {
      listeners.emplace_back(&group, slot);
      numbers.push_back(group.sockets[slot].fd());
    }
  }
  unsigned mended = 0;
  bool failed = false;
  std::map<Group*, std::vector<std::size_t>> moves;
  for (const std::size_t deaf : deaf_.find(numbers)) {
    auto& [group, slot] = listeners[deaf];
    bool moved = false;
    const Result<> done = mend(*group, group->sockets[slot], moved);
    if (moved) moves[group].push_back(slot);
    if (done) {
      ++mended;
    } else if (!std::exchange(failed, true) && !cannot_mend_) {
      REACTOR_LOG(
          error,
          "a worker made the listening socket of " + group->bound.to_string() +
              " deaf, and it can't be opened again: " + done.error().message() +
              "; restart the server, and also the program that passed it the socket, if one did");
    }
  }
  for (const auto& [group, moved] : moves) {
    group->order = group->kernel_order();
    note_moves(group->order, moved);
  }
  cannot_mend_ = failed;
  return mended;
}

// Repairs or replaces one listener. Sets `moved` if the socket left the kernel's group, either in
// this call or when it was made deaf.
Result<> ListenerTable::mend(Group& group, Socket& listener, bool& moved) {
  const Address& address = group.bound.address;
  const Admission before = Admission::of(listener.fd());
  moved = !before.listens || before.blocks;
  Result<> repaired = Errc::not_listening;
  if (!address.is_unix()) repaired = deaf_.repair(listener.fd(), address);
  if (repaired || group.inherited) return repaired;  // the file of an inherited socket is not ours
  moved = true;
  return replace(group, listener);
}

// Opens a new socket in place of a deaf one. Shuts the old one down first, so that it does not keep
// the port, and no process that still has it can accept there.
Result<> ListenerTable::replace(const Group& group, Socket& listener) {
  ::shutdown(listener.fd(), SHUT_RDWR);
  std::vector<UniqueFd> old(1);
  Result<Socket> anew = Socket::listen(group.bound.address, options_for(group));
  if (!anew) return anew.error();
  old.front() = listener.release();
  listener = std::move(*anew);
  if (group.file != nullptr) group.file->take(group.bound.address);
  deaf_.forget(old.front().get());
  deaf_.forget(listener.fd());
  close_apart(std::move(old));
  return {};
}

}  // namespace reactor::prefork
