// SPDX-License-Identifier: MIT
// PipeRing is a ring of pipes, each watched by a loop. When a byte arrives in one pipe, a byte is
// written to the next. This is the load of libevent's bench.c: nearly all the time is spent in the
// loop and in the kernel's readiness calls.
#pragma once

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "reactor/base/unique_fd.h"
#include "reactor/loop/loop.h"

namespace bench {

class PipeRing {
 public:
  explicit PipeRing(reactor::Loop& loop) : loop_(loop) {}
  PipeRing(const PipeRing&) = delete;
  PipeRing& operator=(const PipeRing&) = delete;

  // Makes and watches `count` pipes. Returns false if there are not enough descriptors.
  bool open(std::size_t count) {
    raise_descriptor_limit();
    links_.reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
      int ends[2];
      if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return false;
      links_.push_back({reactor::UniqueFd(ends[0]), reactor::UniqueFd(ends[1]), {}});
      reactor::Result<reactor::IoWatcher> watcher =
          loop_.watch(ends[0], reactor::Interest::read, [this, i](reactor::Ready) { pass_on(i); });
      if (!watcher) return false;
      links_.back().watcher = std::move(*watcher);
    }
    return true;
  }

  // Puts `active` bytes into the ring, far from each other, and runs the loop for `events` reads.
  void circulate(std::size_t active, std::uint64_t events) {
    writes_left_ = events;
    reads_left_ = events;
    const std::size_t distance = links_.size() / active;
    for (std::size_t i = 0; i < active; ++i) write_to(i * distance);
    while (reads_left_ > 0) (void)loop_.run_once();
  }

 private:
  struct Link {
    reactor::UniqueFd reading;
    reactor::UniqueFd writing;
    reactor::IoWatcher watcher;
  };

  static void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    (void)::setrlimit(RLIMIT_NOFILE, &limit);
  }

  void write_to(std::size_t i) {
    if (writes_left_ == 0) return;
    --writes_left_;
    const char byte = 'x';
    (void)!::write(links_[i].writing.get(), &byte, 1);
  }

  void pass_on(std::size_t i) {
    char byte = 0;
    if (::read(links_[i].reading.get(), &byte, 1) != 1) return;
    --reads_left_;
    write_to(i + 1 < links_.size() ? i + 1 : 0);
  }

  reactor::Loop& loop_;
  std::vector<Link> links_;
  std::uint64_t writes_left_ = 0;
  std::uint64_t reads_left_ = 0;
};

}  // namespace bench
