// SPDX-License-Identifier: MIT
// Joins the library's log to spdlog. In a component of its own (reactor::spdlog): nothing else of
// the library knows of spdlog.
#pragma once

#include <memory>
#include <string_view>

namespace spdlog {
class logger;
}

namespace reactor {

// Hands the library's messages to the application's logger, which keeps its sinks, pattern and
// level. Not thread-safe, like set_log_sink().
void log_to_spdlog(std::shared_ptr<spdlog::logger> logger);

// Makes a logger of our own, never registered with spdlog, that writes to `fd` (not owned): one
// write(2) a line, so that the lines of forked processes neither tear nor appear twice where `fd`
// was opened with O_APPEND. Lines: time, pid, `name`, level, message. Nothing in it has a thread.
void log_to_spdlog_fd(std::string_view name, int fd);

}  // namespace reactor
