// SPDX-License-Identifier: MIT
#include "reactor/base/log.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstring>

#include "reactor/base/printable.h"
#include "reactor/base/write_line.h"

namespace reactor {
namespace {

constexpr std::array<std::string_view, 7> kNames = {"trace", "debug",    "info", "warn",
                                                    "error", "critical", "off"};

constexpr std::size_t kMostEscaped = 4096;  // longest output for a message that has to be escaped

// Each line is one write(2), so lines of forked processes never mix (pipe(7), O_APPEND).
void write_to_stderr(void*, LogLevel level, std::string_view message) noexcept {
  std::array<char, 1024> line;
  const std::string_view name = to_string(level);
  std::size_t used = name.copy(line.data(), name.size());
  line[used++] = ' ';
  const std::size_t room = line.size() - used - 1;
  used += message.copy(line.data() + used, std::min(room, message.size()));
  line[used++] = '\n';
  [[maybe_unused]] const int error = write_line(STDERR_FILENO, {line.data(), used});
}

LogSink g_sink = &write_to_stderr;
void* g_context = nullptr;
std::atomic<LogLevel> g_level{LogLevel::info};

}  // namespace

void set_log_sink(LogSink sink, void* context) noexcept {
  g_sink = sink != nullptr ? sink : &write_to_stderr;
  g_context = context;
}

void set_log_level(LogLevel level) noexcept { g_level.store(level, std::memory_order_relaxed); }

LogLevel log_level() noexcept { return g_level.load(std::memory_order_relaxed); }

// Every log line passes through here, so no caller needs to escape text that a peer, a file or the
// environment chose.
void log_message(LogLevel level, std::string_view message) noexcept {
  if (is_printable(message)) {
    g_sink(g_context, level, message);
    return;
  }
  std::array<char, kMostEscaped> memory;
  g_sink(g_context, level, printable(memory, message));
}

std::string_view to_string(LogLevel level) noexcept {
  return kNames[static_cast<std::size_t>(level)];
}

}  // namespace reactor
