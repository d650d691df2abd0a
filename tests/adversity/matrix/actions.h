// SPDX-License-Identifier: MIT
// The actions: everything that a callback may do (G11).
#pragma once

#include <span>
#include <string_view>

namespace reactor::adversity {

class Scene;

struct Action {
  std::string_view name;
  void (*run)(Scene& scene);
};

[[nodiscard]] std::span<const Action> actions();
[[nodiscard]] const Action* find_action(std::string_view name);

}  // namespace reactor::adversity
