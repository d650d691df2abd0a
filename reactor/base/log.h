// SPDX-License-Identifier: MIT
// The library's log: a level, a function and a macro per level. No type of any logging library is
// here, so an application with another version of one does not clash with ours; log_spdlog.h joins
// the two where it is wanted.
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

// Gets each message that passes the level: one printable line (printable.h), without its end;
// `context` is what was given to set_log_sink. On the thread that logs; it neither throws nor logs.
using LogSink = void (*)(void* context, LogLevel level, std::string_view message) noexcept;

// Replaces the sink; a null one restores the default, which writes "LEVEL message" to standard
// error with one write(2); a line for which a pipe there has no room is dropped instead of waiting
// for its reader. Not thread-safe: set it before the first Loop is made.
void set_log_sink(LogSink sink, void* context) noexcept;

// Messages below `level` are dropped before they are formatted. The default is info. Thread-safe.
void set_log_level(LogLevel level) noexcept;
[[nodiscard]] LogLevel log_level() noexcept;

// Passes `message` to the sink at any level, with unprintable bytes escaped.
void log_message(LogLevel level, std::string_view message) noexcept;

// "trace" .. "off".
[[nodiscard]] std::string_view to_string(LogLevel level) noexcept;

}  // namespace reactor

// Internal: `message` (anything a std::string can be made of) is evaluated only if it is wanted. A
// line for which there is no memory is lost: what it reports goes on all the same.
#define REACTOR_LOG(level, message)                                                    \
  do {                                                                                 \
    if constexpr (static_cast<int>(::reactor::LogLevel::level) >= REACTOR_LOG_LEVEL) { \
      if (::reactor::LogLevel::level >= ::reactor::log_level()) try {                  \
          ::reactor::log_message(::reactor::LogLevel::level, message);                 \
        } catch (const std::bad_alloc&) {                                              \
        }                                                                              \
    }                                                                                  \
  } while (false)
