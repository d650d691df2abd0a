// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>

#include "reactor/prefork/internal/control.h"
#include "reactor/prefork/internal/listener_table.h"
#include "reactor/prefork/internal/scoreboard.h"
#include "reactor/prefork/internal/siblings/mailboxes.h"
#include "reactor/prefork/internal/siblings/siblings.h"
#include "reactor/prefork/worker.h"

namespace reactor::prefork {

// A forked worker's links to its master and its siblings. Private to prefork.
struct Worker::Forked {
  WorkerControl control;
  Scoreboard& scoreboard;
  std::uint32_t seat;
  ListenerTable& listeners;
  Mailboxes& mailboxes;
  // The worker reports that it is ready, but does not serve before it gets Message::Kind::serve.
  bool held = false;
  std::unique_ptr<Siblings> siblings = nullptr;  // made by the Worker, which has the loop
};

}  // namespace reactor::prefork
