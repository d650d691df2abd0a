// SPDX-License-Identifier: MIT
// This code writes the report of a worker whose loop no longer turns. It runs in a signal handler,
// which interrupts the callback that does not return. So it allocates nothing, takes no lock, and
// reads only variables that were set before.
#include "reactor/prefork/internal/stuck_report.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <string_view>

#include "reactor/loop/loop.h"
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#endif

namespace reactor::prefork {
namespace {

std::atomic<Loop*> g_loop{nullptr};
unsigned g_worker = 0;
int g_descriptor = STDERR_FILENO;

// A line of text in a buffer of fixed size, because a signal handler must not allocate.
class Line {
 public:
  Line& operator<<(std::string_view text) noexcept {
    const std::size_t size = std::min(text.size(), text_.size() - size_);
    std::memcpy(text_.data() + size_, text.data(), size);
    size_ += size;
    return *this;
  }
  Line& operator<<(long number) noexcept {
    std::array<char, 24> digits;
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    return *this << std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data()));
  }
  void write_to(int descriptor) const noexcept {
    [[maybe_unused]] const auto written = ::write(descriptor, text_.data(), size_);
  }

 private:
  std::array<char, 512> text_;
  std::size_t size_ = 0;
};

void write_stack(int descriptor) noexcept {
#if __has_include(<execinfo.h>)
  std::array<void*, 32> frames;
  const int count = ::backtrace(frames.data(), static_cast<int>(frames.size()));
  ::backtrace_symbols_fd(frames.data(), count, descriptor);
#else
  static_cast<void>(descriptor);
#endif
}

extern "C" void reactor_prefork_report(int) {
  const int saved_errno = errno;
  Loop* const loop = g_loop.load();
  if (loop != nullptr) {
    const HandleInfo held_up_by = loop->current();
    Line line;
    line << "worker " << static_cast<long>(g_worker) << " (pid " << static_cast<long>(::getpid());
    if (held_up_by.kind.empty()) {
      line << ") is in no callback; the stack:\n";
    } else {
      line << ") is held up by a callback: " << held_up_by.kind << " made at "
           << held_up_by.where.file_name() << ":" << static_cast<long>(held_up_by.where.line())
           << "; the stack:\n";
    }
    line.write_to(g_descriptor);
    write_stack(g_descriptor);
  }
  errno = saved_errno;
}

}  // namespace

void report_when_stuck(Loop& loop, unsigned worker, int descriptor) noexcept {
  g_worker = worker;
  g_descriptor = descriptor;
  g_loop.store(&loop);
#if __has_include(<execinfo.h>)
  // The first call of backtrace(3) loads a library, which a signal handler must not do.
  std::array<void*, 1> frame;
  static_cast<void>(::backtrace(frame.data(), 1));
#endif
  struct sigaction action {};
  action.sa_handler = &reactor_prefork_report;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  ::sigaction(SIGUSR2, &action, nullptr);
}

void stop_reports(const Loop& loop) noexcept {
  if (g_loop.load() == &loop) g_loop.store(nullptr);
}

}  // namespace reactor::prefork
