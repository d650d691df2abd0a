// SPDX-License-Identifier: MIT
// The library's log consists of a level, a sink function and one macro. It uses no type of any
// logging library, so it can't clash with an application's version of such a library. log_spdlog.h
// connects it to spdlog.
#pragma once

#include <new>
#include <string>
#include <string_view>

// Levels below this number are not compiled in (0 trace .. 5 critical).
#ifndef REACTOR_LOG_LEVEL
#define REACTOR_LOG_LEVEL 1
#endif

namespace reactor {

enum class LogLevel { trace, debug, info, warn, error, critical, off };

// A LogSink receives each message that passes the level, as one printable line (printable.h)
// without a line feed. `context` is the pointer given to set_log_sink(). Called on the thread that
// logs; it must neither throw nor log.
using LogSink = void (*)(void* context, LogLevel level, std::string_view message) noexcept;

// Replaces the sink. Null restores the default, which writes "LEVEL message" to standard error with
// one write(2). If standard error is a pipe without room, the default drops the line instead of
// waiting for the reader. Not thread-safe: call it before the first Loop is made.
void set_log_sink(LogSink sink, void* context) noexcept;

// Drops messages below `level` before they are formatted. The default is info. Thread-safe.
void set_log_level(LogLevel level) noexcept;
[[nodiscard]] LogLevel log_level() noexcept;

// Passes `message` to the sink whatever its level, with unprintable bytes escaped.
void log_message(LogLevel level, std::string_view message) noexcept;

// Returns "trace" .. "off".
[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;

}  // namespace reactor

// This macro is internal. `message` (anything that a std::string can be made of) is evaluated only
// if its level is enabled. If there is no memory for the line, the line is lost and the caller
// continues.
#define REACTOR_LOG(level, message)                                                    \
  do {                                                                                 \
    if constexpr (static_cast<int>(::reactor::LogLevel::level) >= REACTOR_LOG_LEVEL) { \
      if (::reactor::LogLevel::level >= ::reactor::log_level()) try {                  \
          ::reactor::log_message(::reactor::LogLevel::level, message);                 \
        } catch (const std::bad_alloc&) {                                              \
        }                                                                              \
    }                                                                                  \
  } while (false)
