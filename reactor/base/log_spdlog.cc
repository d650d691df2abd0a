// SPDX-License-Identifier: MIT
#include "reactor/base/log_spdlog.h"

#include <spdlog/details/null_mutex.h>
#include <spdlog/logger.h>
#include <spdlog/sinks/base_sink.h>
#include <unistd.h>

#include <cerrno>
#include <string>
#include <utility>

#include "reactor/base/log.h"

namespace reactor {
namespace {

// %P asks for the pid each time; %t would be wrong in every forked child.
constexpr const char* kPattern = "%Y-%m-%dT%H:%M:%S.%e%z %P %n %l %v";

class FdSink final : public spdlog::sinks::base_sink<spdlog::details::null_mutex> {
 public:
  explicit FdSink(int fd) : fd_(fd) {}

 protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const int saved_errno = errno;
    spdlog::memory_buf_t line;
    formatter_->format(message, line);
    [[maybe_unused]] const auto written = ::write(fd_, line.data(), line.size());
    errno = saved_errno;
  }
  void flush_() override {}

 private:
  int fd_;
};

// What set_log_sink() points to.
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
  logger->set_level(spdlog::level::trace);  // set_log_level() is the one that counts
  log_to_spdlog(std::move(logger));
}

}  // namespace reactor
