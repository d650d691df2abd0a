// SPDX-License-Identifier: MIT
#include "reactor/base/internal/check.h"

#include <cstdlib>
#include <string>

#include "reactor/base/log.h"

namespace reactor {

void check_failed(const char* text, const char* file, int line) noexcept {
  log_message(LogLevel::critical,
              std::string(file) + ":" + std::to_string(line) + ": check failed: " + text);
  std::abort();
}

}  // namespace reactor
