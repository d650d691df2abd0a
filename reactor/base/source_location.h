// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace reactor {

// SourceLocation is the file and line of a call. It replaces std::source_location, which clang 14
// lacks with libstdc++. As a default argument, `where = SourceLocation::current()` names the
// caller.
class SourceLocation {
 public:
  constexpr SourceLocation() noexcept = default;
  constexpr SourceLocation(const char* file, std::uint32_t line) noexcept
      : file_(file), line_(line) {}

  [[nodiscard]] static constexpr SourceLocation current(
      const char* file = __builtin_FILE(),
      std::uint32_t line = static_cast<std::uint32_t>(__builtin_LINE())) noexcept {
    return {file, line};
  }

  // Returns the file name: never null, and empty if the line is not known. The text lives for the
  // whole program.
  [[nodiscard]] constexpr const char* file_name() const noexcept { return file_; }
  [[nodiscard]] constexpr std::uint32_t line() const noexcept { return line_; }

 private:
  const char* file_ = "";
  std::uint32_t line_ = 0;
};

}  // namespace reactor
