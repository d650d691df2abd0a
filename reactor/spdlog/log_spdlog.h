// SPDX-License-Identifier: MIT
// These functions connect the library's log to spdlog. They are a component of their own
// (reactor::spdlog): no other part of the library uses spdlog.
#pragma once

#include <memory>
#include <string_view>

namespace spdlog {
class logger;
}

namespace reactor {

// Passes the library's messages to the application's logger, which keeps its sinks, pattern and
// level. Not thread-safe, like set_log_sink().
void log_to_spdlog(std::shared_ptr<spdlog::logger> logger);

// Makes a logger that writes to `fd` (not owned) and is never registered with spdlog. Each line is
// one write(2), so if `fd` was opened with O_APPEND, the lines of forked processes neither tear nor
// appear twice. A line holds the time, pid, `name`, level and message. The logger has no thread.
// Lines that can't be written without waiting are lost. The process that writes the next line, this
// one or one that it forked, first reports how many. Not thread-safe, like set_log_sink().
void log_to_spdlog_fd(std::string_view name, int fd);

// Flushes the logger. The logger of log_to_spdlog_fd() then reports lost lines, on standard error
// if its log can't be written. Call it at the end of the process.
void flush_spdlog();

}  // namespace reactor
