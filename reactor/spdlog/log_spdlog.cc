// SPDX-License-Identifier: MIT
// Each line is written by one write(2) that never waits, so lines can get lost:
//
//   sink_it_() -- written --> the log
//       |
//       +-- no room --> counted in Losses, which a process shares with its children
//                        --> reported before the next line that can be written, or at the end
#include "reactor/spdlog/log_spdlog.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>
#include <string>
#include <string_view>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/log.h"
#include "reactor/base/write_line.h"

namespace reactor {
namespace {

// %P asks for the pid each time, so the pid is right in a forked child. %t is left out, because
// spdlog caches the thread id, which is another one in the child.
constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z %P %n %l %v";

// Losses counts the lines that could not be written and whose loss is not yet reported. A process
// and the children that it forks share the count, so that the lines that an exited child lost are
// reported too.
class Losses {
 public:
  Losses() noexcept {
    void* const memory =
        ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory != MAP_FAILED) shared_ = ::new (memory) Shared;
  }
  Losses(const Losses&) = delete;
  Losses& operator=(const Losses&) = delete;
  ~Losses() {
    if (shared_ != &own_) ::munmap(shared_, sizeof(Shared));
  }

  void add(std::uint64_t lines, int error) noexcept {
    shared_->error.store(error);
    shared_->lines.fetch_add(lines);
  }
  // Returns the count and sets it to 0; the caller reports it or adds it again.
  [[nodiscard]] std::uint64_t take() noexcept {
    return shared_->lines.load() == 0 ? 0 : shared_->lines.exchange(0);
  }
  // Returns the errno value of the latest loss.
  [[nodiscard]] int error() const noexcept { return shared_->error.load(); }

 private:
  struct Shared {
    std::atomic<std::uint64_t> lines{0};
    std::atomic<int> error{0};
  };
  Shared own_;  // used if memory can't be shared
  Shared* shared_ = &own_;
};

// FdSink never waits. It counts the lines that it can't write, and reports the count before the
// next line that it can write. It also reports the first loss on standard error.
class FdSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  FdSink(std::string_view name, int fd) : name_(name), fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    int error = tell_losses();
    if (error == 0) error = write(message);
    if (error == 0) {
      complained_ = false;
      return;
    }
    losses_.add(1, error);
    if (!std::exchange(complained_, true)) {
      complain("can't write the log: " + system_error(error).message() +
               "; lines are lost until it can be written again, and the log then says how many");
    }
  }
  // Reports the losses in the log, or on standard error if the log still can't be written.
  void flush_() override {
    if (tell_losses() != 0) complain(text_of(losses_.take()));
  }

 private:
  int write(const spdlog::details::log_msg& message) {
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    if (line.size() > kLongestLine) {
      constexpr std::string_view kEnd = "...\n";
      line.resize(kLongestLine);
      std::copy(kEnd.begin(), kEnd.end(), line.end() - kEnd.size());
    }
    return write_line(fd_, {line.data(), line.size()});
  }

  [[nodiscard]] std::string text_of(std::uint64_t lines) const {
    return std::to_string(lines) +
           " lines of the log are lost: " + system_error(losses_.error()).message();
  }

  // Writes the number of lost lines to the log, if there are any. Returns 0 or the errno value.
  int tell_losses() {
    const std::uint64_t lines = losses_.take();
    if (lines == 0) return 0;
    const int error = write(spdlog::details::log_msg(name_, spdlog::level::warn, text_of(lines)));
    if (error != 0) losses_.add(lines, error);
    return error;
  }

  void complain(const std::string& what) const {
    const std::string line = name_ + ": " + what + "\n";
    [[maybe_unused]] const int error = write_line(STDERR_FILENO, line);
  }

  std::string name_;
  int fd_;
  Losses losses_;
  bool complained_ = false;  // this process complained, or its parent did before the fork
};

// The logger that the installed log sink, forward(), writes to.
std::shared_ptr<spdlog::logger> g_logger;

spdlog::level::level_enum to_spdlog(LogLevel level) {
  switch (level) {
    case LogLevel::trace:
      return spdlog::level::trace;
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::critical:
      return spdlog::level::critical;
    case LogLevel::off:
      break;
  }
  return spdlog::level::off;
}

void forward(void*, LogLevel level, std::string_view message) noexcept {
  g_logger->log(to_spdlog(level), spdlog::string_view_t(message.data(), message.size()));
}

}  // namespace

void log_to_spdlog(std::shared_ptr<spdlog::logger> logger) {
  g_logger = std::move(logger);
  set_log_sink(g_logger != nullptr ? &forward : nullptr, nullptr);
}

void flush_spdlog() {
  if (g_logger != nullptr) g_logger->flush();
}

void log_to_spdlog_fd(std::string_view name, int fd) {
  auto logger =
      std::make_shared<spdlog::logger>(std::string(name), std::make_shared<FdSink>(name, fd));
  logger->set_pattern(kPattern);
  logger->set_level(spdlog::level::trace);  // set_log_level() alone decides
  log_to_spdlog(std::move(logger));
}

}  // namespace reactor
