// SPDX-License-Identifier: MIT
// Master: the number of workers, and the slots for them.
#include <algorithm>
#include <string>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/master.h"

namespace reactor::prefork {

// Adds or removes a worker. If a generation is on trial, its number of workers changes too, and the
// log names that number.
void Master::resize(int by) {
  const int workers = static_cast<int>(crew_.wanted_at_last()) + by;
  if (workers < 1 || workers > static_cast<int>(kMostWorkers)) {
    REACTOR_LOG(warn,
                "the number of workers stays: it can be from 1 to " + std::to_string(kMostWorkers));
    return;
  }
  const unsigned slots = crew_.slots();
  const unsigned now = by > 0 ? std::min(crew_.wanted() + 1, kMostWorkers) : crew_.wanted();
  if (const std::string why = make_room_for(now); !why.empty()) {
    REACTOR_LOG(error, why);
    return;
  }
  REACTOR_LOG(info, std::to_string(workers) + " workers from now on");
  crew_.resize(by);
  if (crew_.slots() > slots) steer(crew_.plan());
}

std::string Master::why_no_room(unsigned workers) const {
  if (workers <= crew_.slots() || !(upgrade_.running() || crew_.held())) return {};
  return "can't add workers during an upgrade, because the other program would not know their "
         "sockets; try again when it is over";
}

// Makes listeners and mailboxes for new slots, and sends them to all workers. If that fails for one
// slot, adds none. Returns the reason of the failure, or an empty string.
std::string Master::make_room_for(unsigned workers) {
  if (std::string why = why_no_room(workers); !why.empty()) return why;
  const unsigned before = crew_.slots();
  if (workers <= before) return {};
  std::error_code error = mailboxes_.grow(workers);
  if (!error) error = listeners_.grow(workers);  // last: from here on its sockets get connections
  if (error) {
    mailboxes_.shrink(before);
    return "no room for worker " + std::to_string(workers - 1) + ": " + error.message();
  }
  for (unsigned slot = before; slot < workers; ++slot) announce_slot(slot);
  return {};
}

void Master::announce_slot(unsigned slot) {
  Message message{.kind = Message::Kind::sibling, .slot = static_cast<std::uint16_t>(slot)};
  for (unsigned group = 0; group < listeners_.groups(); ++group) {
    message.value = group;
    const int listener = listeners_.listener(slot, group);
    if (listener >= 0) crew_.tell_all(message, listener);
  }
  message.value = Message::kMailboxIn;
  crew_.tell_all(message, mailboxes_.into(slot));
  message.value = Message::kMailboxOut;
  crew_.tell_all(message, mailboxes_.out_of(slot));
  crew_.add_slot();
}

}  // namespace reactor::prefork
