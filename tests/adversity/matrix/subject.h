// SPDX-License-Identifier: MIT
// Subject: the object whose callback acts. There is one kind for each class of the library, and
// each knows how to make its callback come.
#pragma once

#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

#include "reactor/base/callback.h"
#include "reactor/net/service.h"

namespace reactor {
struct ServerLimits;
}

namespace reactor::adversity {

class Scene;
struct Connection;

// Two of a kind play: the first acts, its sibling is there to be destroyed or to live on.
enum class Role : std::uint8_t { first, sibling };

class Subject {
 public:
  Subject(Scene& scene, Role role) : scene_(scene), role_(role) {}
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  virtual ~Subject() = default;

  // Before the scene's server listens.
  virtual void adjust(ServerLimits&) {}
  // Before anything acts.
  virtual void prepare() {}
  // Makes the callback come, soon and once. Called again if repeats().
  virtual void provoke() = 0;
  [[nodiscard]] virtual bool repeats() const { return true; }
  // What its peer does after each turn of the loop.
  virtual void far_side() {}
  // Ends the object; this stays.
  virtual void destroy() = 0;
  // Puts a callable that calls replaced() in place of the one that runs.
  virtual void replace() {}

  // Whether its peers have got what they should, while it lives.
  [[nodiscard]] virtual bool satisfied() { return true; }

  // The connection that the object is, or serves; null: another one of the scene.
  [[nodiscard]] virtual Connection* connection() { return nullptr; }
  // Its server; null: that of the scene.
  [[nodiscard]] virtual Service* service() { return nullptr; }
  virtual void destroy_server() {}

 protected:
  // What each callback calls last: *this may be gone afterwards.
  void called();
  void replaced() const;
  // A callable that calls called(), and then looks whether it is still there itself (G2).
  [[nodiscard]] Callback<void()> acting();
  // One to put in its place.
  [[nodiscard]] Callback<void()> replacing();

  Scene& scene_;
  const Role role_;
};

// A callback, as the matrix names it, and who makes the object that has it; null for a sibling that
// there can't be.
struct Kind {
  std::string_view callback;
  std::unique_ptr<Subject> (*make)(Scene& scene, Role role);
};

template <class S>
std::unique_ptr<Subject> make_subject(Scene& scene, Role role) {
  return std::make_unique<S>(scene, role);
}
// Of which a scene has one.
template <class S>
std::unique_ptr<Subject> make_only(Scene& scene, Role role) {
  return role == Role::first ? std::make_unique<S>(scene, role) : nullptr;
}

[[nodiscard]] std::span<const Kind> stream_kinds();
[[nodiscard]] std::span<const Kind> handle_kinds();
[[nodiscard]] std::span<const Kind> transport_kinds();
[[nodiscard]] std::span<const Kind> server_kinds();
[[nodiscard]] std::span<const Kind> http_kinds();
[[nodiscard]] std::span<const Kind> coro_kinds();

}  // namespace reactor::adversity
