// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/log.h"

namespace reactor {

// Captures the log for as long as it lives.
class LogCapture {
 public:
  explicit LogCapture(LogLevel level = LogLevel::info) : before_(log_level()) {
    set_log_level(level);
    set_log_sink(&LogCapture::take, this);
  }
  LogCapture(const LogCapture&) = delete;
  LogCapture& operator=(const LogCapture&) = delete;
  ~LogCapture() {
    set_log_sink(nullptr, nullptr);
    set_log_level(before_);
  }

  struct Line {
    LogLevel level;
    std::string text;
  };
  [[nodiscard]] const std::vector<Line>& lines() const { return lines_; }
  [[nodiscard]] bool contains(std::string_view text) const {
    for (const Line& line : lines_) {
      if (line.text.find(text) != std::string::npos) return true;
    }
    return false;
  }

 private:
  static void take(void* self, LogLevel level, std::string_view message) noexcept {
    static_cast<LogCapture*>(self)->lines_.push_back({level, std::string(message)});
  }

  LogLevel before_;
  std::vector<Line> lines_;
};

}  // namespace reactor
