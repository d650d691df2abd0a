// SPDX-License-Identifier: MIT
#include "servers/reply.h"

#include <unistd.h>

#include <array>
#include <ctime>
#include <string_view>

namespace servers {
namespace {

std::string local_time() {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  ::localtime_r(&now, &local);
  std::array<char, 32> text{};
  return {text.data(), std::strftime(text.data(), text.size(), "%a %b %e %H:%M:%S %Y", &local)};
}

}  // namespace

std::string to_reply(Reply reply, std::span<const std::byte> data) {
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  std::string result;
  if (reply == Reply::pid) result = std::to_string(::getpid()) + ": ";
  if (reply == Reply::time) result = "Echo=>";
  result += text;
  if (reply == Reply::time) result += " at " + local_time();
  return result;
}

}  // namespace servers
