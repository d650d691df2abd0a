// SPDX-License-Identifier: MIT
// The tools for a scenario. A scenario is a function that does one thing to the library on a given
// loop. It keeps all of its objects on its stack, and returns if everything went well.
#pragma once

#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include "reactor/loop/loop.h"
#include "reactor/net/address.h"
#include "reactor/net/socket.h"
#include "tests/adversity/allocations/faults.h"
#include "tests/support/run.h"
#include "tests/support/stream_kit.h"

namespace reactor::allocations {

// The library broke a promise, which no failed allocation excuses.
struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// The library reported by an error that it could not go on, or the peer noticed.
struct Told {
  std::error_code error;
};
// std::bad_alloc left Loop::run().
struct LeftRun {};

class Scene {
 public:
  explicit Scene(Loop& on) noexcept : loop(on) {}

  // Runs turns until `done()` holds. Throws Told if an error is reported meanwhile.
  template <class Predicate>
  void until(Predicate done) {
    const Patience patience(kLimit);
    while (!done()) {
      turn(std::chrono::milliseconds(1));
      if (patience.over()) throw Wrong("nothing was told, and the end does not come");
    }
    if (told_) throw Told{*told_};
  }
  // Returns the value of `result`. Throws an error as Told.
  template <class T>
  [[nodiscard]] T get(Result<T> result) {
    if (!result) throw Told{result.error()};
    return std::move(result).value();
  }
  void get(Result<> result) {
    if (!result) throw Told{result.error()};
  }
  // Reports an error from a callback, the library's or a peer's. An empty error is ignored.
  void tell(std::error_code error) noexcept {
    if (error && !told_) told_ = error;
  }
  static void check(bool holds, const char* what) {
    if (!holds) throw Wrong(what);
  }

  // Runs one turn. Throws Told if an error was reported.
  void turn(Duration limit);

  Loop& loop;

 private:
  std::optional<std::error_code> told_;
};

// An object of the test's own. Making and destroying it never fails.
template <class T>
class Own {
 public:
  template <class... Args>
  explicit Own(Args&&... args) {
    const Unfailing unfailing;
    object_ = std::make_unique<T>(std::forward<Args>(args)...);
  }
  Own(const Own&) = delete;
  Own& operator=(const Own&) = delete;
  ~Own() {
    const Unfailing unfailing;
    object_.reset();
  }
  T* operator->() const noexcept { return object_.get(); }

 private:
  std::unique_ptr<T> object_;
};

// The peer: a plain socket whose memory never fails.
class Client {
 public:
  Client(Scene& scene, const Address& server);
  Client(Scene& scene, UniqueFd connected) noexcept;
  // Runs turns until the client has got `text`. Throws Told if the peer hangs up first.
  void await(std::string_view text);
  void await_end();
  void write(std::string_view text);
  [[nodiscard]] const std::string& got() const noexcept { return peer_.got; }
  [[nodiscard]] bool over() const noexcept { return peer_.over(); }
  void read();

 private:
  Scene& scene_;
  Peer peer_;
};

}  // namespace reactor::allocations
