// SPDX-License-Identifier: MIT
// Acts that a worker can try after a client has taken it over, each with the master's answer. The
// table is at the end of evil_acts.cc. An act begins when the worker serves and goes on until the
// worker ends.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace reactor::prefork {

// The action that the master has to take.
enum class Answer {
  none,  // no action: it can't see the act, or the act does no harm
  kill,  // kills the worker, which broke the rules
  heir,  // replaces the worker, which died
  mend,  // repairs the listening sockets and replaces all workers
};

// Whether clients that connect during the act are served. Clients of the sibling are served in any
// case, and so are all clients after a reload.
enum class Newcomers { served, at_risk };

enum class Pace { once, often, ceaselessly };

struct Act {
  std::string name;
  Answer answer;
  Newcomers newcomers;
  Pace pace;
  std::function<void()> commit;
};

[[nodiscard]] std::vector<Act> evil_acts();
// Writes random bytes all over the shared memory.
[[nodiscard]] Act random_act(unsigned seed);

}  // namespace reactor::prefork
