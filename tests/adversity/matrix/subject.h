// SPDX-License-Identifier: MIT
// Subject: the object whose callback acts. There is a Subject class for each class of the library.
// Each knows how to make its callback come.
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

// A scene has two subjects of a kind. The first one acts; its sibling is destroyed or lives on.
enum class Role : std::uint8_t { first, sibling };

class Subject {
 public:
  Subject(Scene& scene, Role role) : scene_(scene), role_(role) {}
  Subject(const Subject&) = delete;
  Subject& operator=(const Subject&) = delete;
  virtual ~Subject() = default;

  // Called before the scene's server listens.
  virtual void adjust(ServerLimits&) {}
  // Called before any action.
  virtual void prepare() {}
  // Makes the callback come, soon and once. It is called again if repeats().
  virtual void provoke() = 0;
  [[nodiscard]] virtual bool repeats() const { return true; }
  // Does what the peer does after each turn of the loop.
  virtual void far_side() {}
  // Destroys the object under test. The Subject stays.
  virtual void destroy() = 0;
  // Replaces the running callable with one that calls replaced().
  virtual void replace() {}

  // Whether the peers of a live object have got everything that they should.
  [[nodiscard]] virtual bool satisfied() { return true; }

  // The connection that the object is or serves. If null, the action uses another one of the scene.
  [[nodiscard]] virtual Connection* connection() { return nullptr; }
  // The object's own server. If null, the action uses the scene's.
  [[nodiscard]] virtual Service* service() { return nullptr; }
  virtual void destroy_server() {}

 protected:
  // Each callback calls this last. It may destroy *this.
  void called();
  void replaced() const;
  // Returns a callable that calls called() and then checks that the callable itself still lives
  // (G2).
  [[nodiscard]] Callback<void()> acting();
  // Returns a callable that takes its place.
  [[nodiscard]] Callback<void()> replacing();

  Scene& scene_;
  const Role role_;
};

// A callback by its name in the matrix, and the function that makes its subject. The function
// returns null for a sibling if there can't be one.
struct Kind {
  std::string_view callback;
  std::unique_ptr<Subject> (*make)(Scene& scene, Role role);
};

template <class S>
std::unique_ptr<Subject> make_subject(Scene& scene, Role role) {
  return std::make_unique<S>(scene, role);
}
// For a subject of which a scene can have only one.
template <class S>
std::unique_ptr<Subject> make_only(Scene& scene, Role role) {
  return role == Role::first ? std::make_unique<S>(scene, role) : nullptr;
}

[[nodiscard]] std::span<const Kind> stream_kinds();
[[nodiscard]] std::span<const Kind> handle_kinds();
[[nodiscard]] std::span<const Kind> transport_kinds();
[[nodiscard]] std::span<const Kind> wire_kinds();
[[nodiscard]] std::span<const Kind> process_kinds();
[[nodiscard]] std::span<const Kind> server_kinds();
[[nodiscard]] std::span<const Kind> http_kinds();
[[nodiscard]] std::span<const Kind> coro_kinds();
[[nodiscard]] std::span<const Kind> coro_server_kinds();

}  // namespace reactor::adversity
