// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/scoreboard.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <new>

#include "reactor/base/error.h"

namespace reactor::prefork {

Result<std::unique_ptr<Scoreboard>> Scoreboard::make() {
  void* const memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return last_system_error();
  // The Shared is not constructed here, because writing to the pages would allocate them all. Fresh
  // pages are zero, which is the initial value of each member.
  static_assert(std::is_trivially_destructible_v<Shared>);
  return std::unique_ptr<Scoreboard>(new Scoreboard(static_cast<Shared*>(memory)));
}

Scoreboard::~Scoreboard() { ::munmap(shared_, sizeof(Shared)); }

std::uint32_t Scoreboard::take_seat() noexcept {
  bool* const found = std::find(std::begin(taken_), std::end(taken_), false);
  if (found == std::end(taken_)) return kNobody;
  *found = true;
  const auto number = static_cast<std::uint32_t>(found - std::begin(taken_));
  ::new (&shared_->seats[number]) Seat();
  return number;
}

void Scoreboard::free_seat(std::uint32_t number) noexcept { taken_[number] = false; }

}  // namespace reactor::prefork
