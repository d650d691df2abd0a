// SPDX-License-Identifier: MIT
#include "servers/settings/messages.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <string_view>

#include "reactor/base/log.h"
#include "reactor/base/printable.h"
#include "reactor/base/write_line.h"

namespace servers {
namespace {

// Waits for room, at most for the time `patience`, and subtracts the wait from `patience`. Then
// writes the line and returns true. If there is still no room, returns false.
bool write_within(reactor::Duration& patience, int fd, const std::string& line) {
  const reactor::TimePoint begin = reactor::monotonic_now();
  pollfd room{fd, POLLOUT, 0};
  const auto wait = std::chrono::ceil<std::chrono::milliseconds>(patience).count();
  const bool ready = ::poll(&room, 1, static_cast<int>(wait)) != 0;
  patience -= std::min(patience, reactor::monotonic_now() - begin);
  if (ready) static_cast<void>(reactor::write_line(fd, line));
  return ready;
}

std::string line_of(const std::string& text) {
  constexpr std::string_view kEnd = "...\n";
  std::string line = reactor::printable(text) + "\n";
  if (line.size() <= reactor::kLongestLine) return line;
  line.resize(reactor::kLongestLine - kEnd.size());
  return line.append(kEnd);
}

}  // namespace

const char* name_of(Program program) {
  return program == Program::echo ? "reactor-echo" : "reactor-http-ok";
}

void complain(Program program, const std::string& what) {
  reactor::Duration patience = std::chrono::seconds(1);
  write_within(patience, STDERR_FILENO, line_of(std::string(name_of(program)) + ": " + what));
}

void StandardOutput::say(const std::string& line) {
  if (write_within(patience_, STDOUT_FILENO, line_of(line))) return;
  REACTOR_LOG(warn, "standard output is not read; dropped the line: " + line);
}

}  // namespace servers
