// SPDX-License-Identifier: MIT
// Checks: whether each object of a scene ends as the table says.
#pragma once

#include "tests/adversity/matrix/scene.h"

namespace reactor::adversity {

class Checks {
 public:
  explicit Checks(Scene& scene) : scene_(scene) {}

  // Waits until all prepared connections are open.
  [[nodiscard]] bool begun();
  // Checks all ends after the action.
  void ends();
  // Checks that nothing is left in the loop after all objects are gone.
  void over();

 private:
  void loop_end();
  void subject_end();
  void sibling_end();
  void server_end();
  void connection_end(Connection& connection, End end);

  void lives(Connection& connection);
  void lives_unwatched(Connection& connection);
  void gone(Connection& connection);
  void closed(Connection& connection, std::error_code error);
  void detached(Connection& connection);
  void moved(Connection& connection);
  void works_elsewhere(Connection& connection);
  void half_closed(Connection& connection);

  [[nodiscard]] bool ended_before() const;
  [[nodiscard]] bool moves(Whose whose) const;
  [[nodiscard]] End end_of(const Connection& connection, Whose whose) const;
  void settle();

  Scene& scene_;
};

}  // namespace reactor::adversity
