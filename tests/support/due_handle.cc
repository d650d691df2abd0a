// SPDX-License-Identifier: MIT
#include "tests/support/due_handle.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <utility>

#include "tests/support/fork.h"
#include "tests/support/pipes.h"

namespace reactor {
namespace {

// The resource of a handle that needs none. A resource is destroyed after its handle.
struct Nothing {};

struct DeadChild {
  DeadChild() : pid(spawn_child([] { return 7; })) {
    siginfo_t info{};
    EXPECT_EQ(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT), 0);
  }
  DeadChild(DeadChild&& other) noexcept : pid(std::exchange(other.pid, -1)) {}
  DeadChild& operator=(DeadChild&&) = delete;
  ~DeadChild() {
    // A test may destroy the handle before the handle has waited for the child.
    if (pid > 0) wait_for_child(pid);
  }
  pid_t pid;
};

template <class Resource, class H>
class Holder final : public DueHandle {
 public:
  Holder(Resource resource, H handle)
      : resource_(std::move(resource)), handle_(std::move(handle)) {}
  void stop() override { handle_.stop(); }
  [[nodiscard]] bool active() const override { return handle_.active(); }
  void ref() override { handle_.ref(); }
  void unref() override { handle_.unref(); }

 private:
  Resource resource_;
  H handle_;
};

template <class Resource, class H>
std::unique_ptr<DueHandle> hold(Resource resource, H handle) {
  return std::make_unique<Holder<Resource, H>>(std::move(resource), std::move(handle));
}

std::unique_ptr<DueHandle> make_due_io(Loop& loop, Callback<void()> callback) {
  FdPair pipe = make_pipe();
  write_text(pipe.far.get(), "!");
  auto watcher = loop.watch(pipe.near.get(), Interest::read,
                            [call = std::move(callback)](Ready) mutable { call(); });
  return hold(std::move(pipe), std::move(watcher).value());
}

std::unique_ptr<DueHandle> make_due_child(Loop& loop, Callback<void()> callback) {
  DeadChild child;
  auto watcher =
      loop.on_exit(child.pid, [call = std::move(callback)](ExitStatus) mutable { call(); });
  return hold(std::move(child), std::move(watcher).value());
}

}  // namespace

std::string_view to_string(Kind kind) {
  constexpr std::array<std::string_view, 5> kNames = {"io", "timer", "signal", "deferred", "child"};
  return kNames[static_cast<std::size_t>(kind)];
}

std::unique_ptr<DueHandle> make_due(Loop& loop, Kind kind, Callback<void()> callback) {
  switch (kind) {
    case Kind::io:
      return make_due_io(loop, std::move(callback));
    case Kind::timer:
      return hold(Nothing{}, loop.after(Duration::zero(), std::move(callback)));
    case Kind::signal: {
      auto watcher = loop.on_signal(kTestSignal, std::move(callback));
      ::raise(kTestSignal);
      return hold(Nothing{}, std::move(watcher).value());
    }
    case Kind::deferred: {
      Deferred deferred = loop.deferred(std::move(callback));
      deferred.schedule();
      return hold(Nothing{}, std::move(deferred));
    }
    case Kind::child:
      return make_due_child(loop, std::move(callback));
  }
  return nullptr;
}

}  // namespace reactor
