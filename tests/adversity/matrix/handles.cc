// SPDX-License-Identifier: MIT
// The callbacks of the loop itself: handles, posted calls, the report of a slow callback.
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>

#include "tests/adversity/matrix/scene.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/pipes.h"

namespace reactor::adversity {
namespace {

class OfTimer : public Subject {
 public:
  using Subject::Subject;
  void provoke() override { timer_.start(Duration::zero()); }
  void destroy() override { timer_ = {}; }
  void replace() override { timer_ = scene_.loop().timer(replacing()); }

 protected:
  Timer timer_ = scene_.loop().timer([this, call = acting()]() mutable {
    timer_.stop();
    call();
  });
};

class OfPeriod final : public OfTimer {
 public:
  using OfTimer::OfTimer;
  void provoke() override { timer_.start_every(std::chrono::microseconds(1)); }
};

class OfWatcher final : public Subject {
 public:
  using Subject::Subject;
  void provoke() override { write_text(pipe_.far.get(), "!"); }
  void destroy() override { watcher_ = {}; }
  void replace() override {
    watcher_ = {};  // there may be only one watcher per descriptor (G8)
    watcher_ = watch(replacing());
  }

 private:
  IoWatcher watch(Callback<void()> call) {
    return get(scene_.loop().watch(pipe_.near.get(), Interest::read,
                                   [this, call = std::move(call)](Ready) mutable {
                                     EXPECT_EQ(read_text(pipe_.near.get()), "!");
                                     call();
                                   }));
  }

  FdPair pipe_ = make_pipe();
  IoWatcher watcher_ = watch(acting());
};

class OfSignal final : public Subject {
 public:
  using Subject::Subject;
  void provoke() override { ::raise(SIGUSR1); }
  void destroy() override { watcher_ = {}; }
  void replace() override { watcher_ = get(scene_.loop().on_signal(SIGUSR1, replacing())); }

 private:
  SignalWatcher watcher_ = get(scene_.loop().on_signal(SIGUSR1, acting()));
};

class OfDeferred final : public Subject {
 public:
  using Subject::Subject;
  void provoke() override { deferred_.schedule(); }
  void destroy() override { deferred_ = {}; }
  void replace() override { deferred_ = scene_.loop().deferred(replacing()); }

 private:
  Deferred deferred_ = scene_.loop().deferred(acting());
};

class OfPosted final : public Subject {
 public:
  using Subject::Subject;
  void provoke() override { scene_.loop().post(acting()); }
  void destroy() override {}
};

class OfChild final : public Subject {
 public:
  using Subject::Subject;
  ~OfChild() override {
    if (over_) return;
    watcher_ = {};
    ::kill(pid_, SIGKILL);
    wait_for_child(pid_);
  }
  void provoke() override { ::kill(pid_, SIGKILL); }
  [[nodiscard]] bool repeats() const override { return false; }
  void destroy() override { watcher_ = {}; }

 private:
  const pid_t pid_ = spawn_sleeper();
  bool over_ = false;
  ChildWatcher watcher_ =
      get(scene_.loop().on_exit(pid_, [this, call = acting()](ExitStatus) mutable {
        over_ = true;
        call();
      }));
};

class OfSlow final : public Subject {
 public:
  using Subject::Subject;
  void provoke() override { scene_.when_slow(role_, acting()); }
  // A turn that calls nobody is not slow.
  void far_side() override {
    scene_.loop().post([] {});
  }
  void destroy() override {}
};

constexpr std::array kHandleKinds = {
    Kind{"timer.once", &make_subject<OfTimer>},       Kind{"timer.period", &make_subject<OfPeriod>},
    Kind{"watcher.ready", &make_subject<OfWatcher>},  Kind{"signal.came", &make_subject<OfSignal>},
    Kind{"deferred.call", &make_subject<OfDeferred>}, Kind{"loop.posted", &make_subject<OfPosted>},
    Kind{"loop.slow", &make_subject<OfSlow>},         Kind{"child.exit", &make_subject<OfChild>},
};

}  // namespace

std::span<const Kind> handle_kinds() { return kHandleKinds; }

}  // namespace reactor::adversity
