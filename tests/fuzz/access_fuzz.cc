// SPDX-License-Identifier: MIT
// Feeds any fields to the access log. Whatever a peer sends, an entry must be one line of printable
// ASCII, and in JSON one object. The input has one field a line: peer, method, target, referer,
// user agent.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "reactor/http/internal/access_line.h"
#include "tests/fuzz/fuzz.h"

namespace {

using reactor::fuzz::demand;
using reactor::http::AccessLog;

std::string_view take_field(std::string_view& rest) {
  const std::size_t end = rest.find('\n');
  const std::string_view field = rest.substr(0, end);
  rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  return field;
}

// Checks that quotes come in pairs and that no string ends in the middle of an escape. Outside of
// quotes only the peer's name, the first column of a line that is not JSON, may contain escapes.
void check_quotes(std::string_view line, AccessLog::Format format) {
  const std::size_t peer_size = format == AccessLog::Format::json ? 0 : line.find(' ');
  bool inside = false;
  for (std::size_t at = 0; at < line.size(); ++at) {
    if (line[at] == '\\') {
      demand(inside || at < peer_size, "no escape outside of quotes and the peer's name");
      ++at;
    } else if (line[at] == '"') {
      inside = !inside;
    }
  }
  demand(!inside, "each quote is closed");
}

void check_line(std::string_view line, AccessLog::Format format) {
  demand(!line.empty() && line.back() == '\n', "a line ends");
  line.remove_suffix(1);
  for (const char byte : line) {
    demand(byte >= 0x20 && byte < 0x7f, "printable ASCII, and one line");
  }
  check_quotes(line, format);
  if (format != AccessLog::Format::json) return;
  demand(line.front() == '{' && line.back() == '}', "one object");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::string_view rest(reinterpret_cast<const char*>(data), size);
  reactor::fuzz::Draw draw(rest);
  const reactor::Address peer = reactor::Address::loopback(80);
  AccessLog::Entry entry;
  if (draw.below(2) == 0) entry.peer = &peer;
  entry.peer_text = take_field(rest);
  entry.method_token = take_field(rest);
  entry.target = take_field(rest);
  entry.referer = take_field(rest);
  entry.user_agent = rest;
  entry.status = static_cast<int>(100 + draw.below(500));
  entry.bytes = draw.below(1U << 30U);
  entry.time = reactor::Duration(draw.below(1U << 30U));
  for (const auto format :
       {AccessLog::Format::common, AccessLog::Format::combined, AccessLog::Format::json}) {
    std::array<char, 32> stamp;
    const std::size_t stamp_size = reactor::http::format_access_stamp(stamp, format, 1'000'000'000);
    std::vector<char> out(reactor::http::kMostAccessLine);  // exactly as many bytes as may be used
    const std::size_t used = reactor::http::format_access_line(
        out, format, entry, std::string_view(stamp.data(), stamp_size));
    demand(used <= out.size(), "no longer than a pipe takes in one piece");
    check_line(std::string_view(out.data(), used), format);
  }
  return 0;
}
