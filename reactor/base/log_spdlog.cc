// SPDX-License-Identifier: MIT
#include "reactor/base/log_spdlog.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/log.h"
#include "reactor/base/process.h"
#include "reactor/base/write_line.h"

namespace reactor {
namespace {

// %P asks for the pid each time, so it is right in a forked child; %t would be wrong there.
constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z %P %n %l %v";

// FdSink never waits. It counts the lines that it can't write, and reports the count before the
// next line that it can write. It also reports the first loss on standard error.
class FdSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit FdSink(int fd) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    // A child does not report lines that its parent lost.
    if (std::exchange(process_, process_generation()) != process_generation()) lost_ = 0;
    if (lost_ > 0) tell_losses(message.logger_name);
    if (lost_ == 0) error_ = write(message);
    if (error_ == 0) {
      complained_ = false;
      return;
    }
    ++lost_;
    if (!std::exchange(complained_, true)) complain(message.logger_name);
  }
  void flush_() override {}

 private:
  using Name = spdlog::string_view_t;

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

  void tell_losses(Name name) {
    const std::string text =
        std::to_string(lost_) + " lines of the log are lost: " + system_error(error_).message();
    error_ = write(spdlog::details::log_msg(name, spdlog::level::warn, text));
    if (error_ == 0) lost_ = 0;
  }

  void complain(Name name) const {
    const std::string line = std::string(name.data(), name.size()) +
                             ": can't write the log: " + system_error(error_).message() +
                             "; lines are lost until that is mended, and then counted in the log\n";
    [[maybe_unused]] const int error = write_line(STDERR_FILENO, line);
  }

  int fd_;
  int error_ = 0;  // errno of the last write
  std::uint64_t lost_ = 0;
  bool complained_ = false;  // this process complained, or its parent did before the fork
  std::uint32_t process_ = process_generation();
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

void log_to_spdlog_fd(std::string_view name, int fd) {
  auto logger = std::make_shared<spdlog::logger>(std::string(name), std::make_shared<FdSink>(fd));
  logger->set_pattern(kPattern);
  logger->set_level(spdlog::level::trace);  // set_log_level() alone decides
  log_to_spdlog(std::move(logger));
}

}  // namespace reactor
