// SPDX-License-Identifier: MIT
// This header has helpers for the tests of coroutines.
#pragma once

#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/coro/coro.h"
#include "tests/support/loop_test.h"
#include "tests/support/pipes.h"
#include "tests/support/stream_kit.h"

namespace reactor::coro {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

class CoroTest : public LoopTest {
 protected:
  // Runs `task` to its end, and then the loop until nothing is left in it. Returns false if that
  // takes too long.
  [[nodiscard]] static bool run(Loop& loop, Task<void> task) {
    const Spawned spawned = spawn(loop, std::move(task));
    return run_to_end(loop) && spawned.done();
  }
};

// Counts the live coroutine frames that have an Alive as a local.
class Alive {
 public:
  explicit Alive(int& count) : count_(&count) { ++*count_; }
  Alive(Alive&& other) noexcept : count_(std::exchange(other.count_, nullptr)) {}
  Alive& operator=(Alive&&) = delete;
  ~Alive() {
    if (count_ != nullptr) --*count_;
  }

 private:
  int* count_;
};

// Line is a connection: a coroutine's Stream, and the peer at the other end.
struct Line {
  explicit Line(Loop& loop, const StreamOptions& options = Stream::default_options()) {
    FdPair pair = make_tcp_pair();
    peer.fd = std::move(pair.far);
    stream = Stream(loop, Socket(std::move(pair.near)), options);
  }

  Peer peer;
  Stream stream;
};

// Sends back the bytes that come, until the end.
inline Task<> echo(Stream stream) {
  std::array<std::byte, 1024> buffer;
  while (const std::size_t count = (co_await stream.read(buffer)).value()) {
    (co_await stream.write(std::span(buffer).first(count))).value();
  }
}

[[nodiscard]] inline std::span<std::byte> bytes_of(std::string& text) {
  return std::as_writable_bytes(std::span(text));
}

}  // namespace reactor::coro
