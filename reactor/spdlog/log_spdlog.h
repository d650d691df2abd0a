// SPDX-License-Identifier: MIT
// These functions connect the library's log to spdlog. They form a separate component
// (reactor::spdlog), because no other part of the library uses spdlog.
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
// one write(2), so if `fd` was opened with O_APPEND, the lines of forked processes are neither
// mixed nor written twice. A line holds the time, pid, `name`, level and message. The logger has no
// thread. Lines that can't be written without waiting are lost. Before the next line that it can
// write, the logger writes how many lines this process and its forked children have lost. Not
// thread-safe, like set_log_sink().
void log_to_spdlog_fd(std::string_view name, int fd);

// Flushes the logger. A logger of log_to_spdlog_fd() then writes how many lines were lost into the
// log, or to standard error if the log can't be written. Call this function before the process
// exits.
void flush_spdlog();

}  // namespace reactor
