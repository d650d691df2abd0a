// SPDX-License-Identifier: MIT
// What a worker that a client took over can try, each with what its master has to say. The table is
// at the end. An act begins when the worker serves, and goes on until the worker ends.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace reactor::prefork {

// What the master has to do about it.
enum class Answer {
  none,  // nothing: it does not see it, or need not care
  kill,  // the worker broke the rules
  heir,  // the worker died, and gets a successor
  mend,  // listening sockets are set right, and all workers replaced
};

// What becomes of clients that connect while it goes on. Those that are connected to the sibling
// are served in any case, and so is everybody after a reload.
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
// Random bytes all over the shared memory.
[[nodiscard]] Act random_act(unsigned seed);

}  // namespace reactor::prefork
