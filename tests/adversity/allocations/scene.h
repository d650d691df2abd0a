// SPDX-License-Identifier: MIT
// What a scenario is written with. It is a function that does one thing to the library on a loop
// that it is given, keeps everything that it makes on its stack, and returns when all has gone
// well.
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

// What is wrong whatever has failed.
struct Wrong : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// The library said by an error that it could not go on; or the peer saw it.
struct Told {
  std::error_code error;
};
// std::bad_alloc came out of Loop::run().
struct LeftRun {};

class Scene {
 public:
  explicit Scene(Loop& on) noexcept : loop(on) {}

  // Turns until `done()`, or until something was told.
  template <class Predicate>
  void until(Predicate done) {
    const TimePoint limit = monotonic_now() + kLimit;
    while (!done()) {
      turn(std::chrono::milliseconds(1));
      if (monotonic_now() > limit) throw Wrong("nothing was told, and the end does not come");
    }
    if (told_) throw Told{*told_};
  }
  // The value; its error is told.
  template <class T>
  [[nodiscard]] T get(Result<T> result) {
    if (!result) throw Told{result.error()};
    return std::move(result).value();
  }
  void get(Result<> result) {
    if (!result) throw Told{result.error()};
  }
  // From a callback, of the library's or of a peer. No error is none.
  void tell(std::error_code error) noexcept {
    if (error && !told_) told_ = error;
  }
  static void check(bool holds, const char* what) {
    if (!holds) throw Wrong(what);
  }

  // One turn, unless something was told.
  void turn(Duration limit);

  Loop& loop;

 private:
  std::optional<std::error_code> told_;
};

// The test's own objects, which are made and destroyed without failure.
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

// The other side: a plain socket whose memory never fails.
class Client {
 public:
  Client(Scene& scene, const Address& server);
  Client(Scene& scene, UniqueFd connected) noexcept;
  // Turns until it has got `text`. A peer that hangs up before that, or answers with another
  // status than 200, has told that something failed.
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
