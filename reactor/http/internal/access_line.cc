// SPDX-License-Identifier: MIT
// Text from a peer is never written unchanged: put_foreign() escapes it and cuts it. Each text has
// a maximum length, so a line always fits into its memory, and no write has to check for room.
#include "reactor/http/internal/access_line.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace reactor::http {
namespace {

using Entry = AccessLog::Entry;
using Format = AccessLog::Format;

// The most bytes that each text may take after escaping. All of them and kMostRest together fit
// into kMostAccessLine.
constexpr std::size_t kMostPeer = 128;
constexpr std::size_t kMostMethod = 64;
constexpr std::size_t kMostTarget = 2048;
constexpr std::size_t kMostReferer = 832;
constexpr std::size_t kMostAgent = 512;
constexpr std::size_t kMostReason = 192;
constexpr std::string_view kCut = "...";
constexpr std::size_t kMostRest = 320;  // punctuation, names, numbers and the timestamp
static_assert(kMostPeer + kMostMethod + kMostTarget + kMostReferer + kMostAgent + kMostReason +
                  kMostRest <=
              kMostAccessLine);

constexpr std::string_view kDigits = "0123456789ABCDEF";

// The bytes that no format escapes.
constexpr std::array<bool, 256> make_plain() {
  std::array<bool, 256> table{};
  for (std::size_t byte = 0x20; byte < 0x7f; ++byte) table[byte] = true;
  table['"'] = false;
  table['\\'] = false;
  return table;
}
constexpr std::array<bool, 256> kPlain = make_plain();

// Writes a line into memory that the caller made large enough.
class Line {
 public:
  Line(std::span<char> out, Format format) noexcept
      : begin_(out.data()), at_(out.data()), escape_(format == Format::json ? "\\u00" : "\\x") {}

  [[nodiscard]] std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

  void put(std::string_view text) noexcept {
    std::memcpy(at_, text.data(), text.size());
    at_ += text.size();
  }

  void put(std::uint64_t number) noexcept { at_ = std::to_chars(at_, at_ + 20, number).ptr; }

  // Appends `text` escaped, in at most `most` bytes. Cuts a longer text, which then ends in kCut.
  void put_foreign(std::string_view text, std::size_t most) noexcept {
    std::size_t left = most - kCut.size();
    while (!text.empty()) {
      const std::size_t plain = plain_prefix(text, left);
      put(text.substr(0, plain));
      left -= plain;
      text.remove_prefix(plain);
      if (text.empty()) return;
      if (left < escape_.size() + 2) {
        put(kCut);
        return;
      }
      put_escaped(static_cast<unsigned char>(text.front()));
      left -= escape_.size() + 2;
      text.remove_prefix(1);
    }
  }

  // Appends "TEXT", or `otherwise` if the text is empty.
  void put_quoted(std::string_view text, std::size_t most, std::string_view otherwise) noexcept {
    if (text.empty()) {
      put(otherwise);
      return;
    }
    put("\"");
    put_foreign(text, most);
    put("\"");
  }

 private:
  static std::size_t plain_prefix(std::string_view text, std::size_t most) noexcept {
    const std::size_t size = std::min(text.size(), most);
    std::size_t plain = 0;
    while (plain < size && kPlain[static_cast<unsigned char>(text[plain])]) ++plain;
    return plain;
  }

  void put_escaped(unsigned byte) noexcept {
    put(escape_);
    *at_++ = kDigits[byte >> 4U];
    *at_++ = kDigits[byte & 15U];
  }

  char* begin_;
  char* at_;
  std::string_view escape_;
};

using HostText = std::array<char, Address::kUnixPrefix.size() + sizeof(sockaddr_un::sun_path)>;

// Formats an IPv4 address. inet_ntop(3) would take several times as long.
std::string_view format_v4(const std::uint8_t* bytes, HostText& text) noexcept {
  char* at = text.data();
  for (int i = 0; i < 4; ++i) {
    if (i > 0) *at++ = '.';
    at = std::to_chars(at, at + 3, bytes[i]).ptr;
  }
  return {text.data(), static_cast<std::size_t>(at - text.data())};
}

// Returns the address without its port. An IPv4-mapped IPv6 address is shown as IPv4.
std::string_view host_of(const Address& address, HostText& text) noexcept {
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address.data(), sizeof(v4));
    return format_v4(reinterpret_cast<const std::uint8_t*>(&v4.sin_addr), text);
  }
  if (address.family() == AF_INET6) {
    sockaddr_in6 v6{};
    std::memcpy(&v6, address.data(), sizeof(v6));
    if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) return format_v4(v6.sin6_addr.s6_addr + 12, text);
    const char* const host = ::inet_ntop(AF_INET6, &v6.sin6_addr, text.data(), INET6_ADDRSTRLEN);
    return host != nullptr ? host : std::string_view{};
  }
  if (!address.is_unix()) return {};
  const std::string_view path = address.path();  // most clients' sockets have none
  Address::kUnixPrefix.copy(text.data(), Address::kUnixPrefix.size());
  path.copy(text.data() + Address::kUnixPrefix.size(), path.size());
  return {text.data(), Address::kUnixPrefix.size() + path.size()};
}

std::string_view peer_of(const Entry& entry, HostText& text) noexcept {
  if (!entry.peer_text.empty()) return entry.peer_text;
  return entry.peer != nullptr ? host_of(*entry.peer, text) : std::string_view{};
}

std::string_view protocol_of(const Entry& entry) noexcept {
  return entry.minor_version == 0 ? "HTTP/1.0" : "HTTP/1.1";
}

// Clamps the status, so that it never has more than three digits.
std::uint64_t status_of(const Entry& entry) noexcept {
  return static_cast<std::uint64_t>(std::clamp(entry.status, 0, 999));
}

void put_common(Line& line, const Entry& entry, std::string_view stamp) noexcept {
  HostText text;
  const std::string_view peer = peer_of(entry, text);
  // A blank in the first column would shift all others.
  const bool whole = !peer.empty() && peer.find(' ') == std::string_view::npos;
  line.put_foreign(whole ? peer : "-", kMostPeer);
  line.put(" - - [");
  line.put(stamp);
  line.put("] \"");
  if (entry.method_token.empty() && entry.target.empty()) {
    line.put("-");
  } else {
    line.put_foreign(entry.method_token, kMostMethod);
    line.put(" ");
    line.put_foreign(entry.target, kMostTarget);
    line.put(" ");
    line.put(protocol_of(entry));
  }
  line.put("\" ");
  line.put(status_of(entry));
  line.put(" ");
  entry.bytes == 0 ? line.put("-") : line.put(entry.bytes);
}

void put_combined(Line& line, const Entry& entry) noexcept {
  line.put(" ");
  line.put_quoted(entry.referer, kMostReferer, "\"-\"");
  line.put(" ");
  line.put_quoted(entry.user_agent, kMostAgent, "\"-\"");
}

void put_seconds(Line& line, Duration time) noexcept {
  const auto whole = std::chrono::duration_cast<std::chrono::microseconds>(time).count();
  const auto micros = static_cast<std::uint64_t>(std::max<decltype(whole)>(whole, 0));
  line.put(micros / 1'000'000);
  std::array<char, 7> digits{'.'};
  std::uint64_t rest = micros % 1'000'000;
  for (std::size_t i = 6; i > 0; --i, rest /= 10) digits[i] = kDigits[rest % 10];
  line.put({digits.data(), digits.size()});
}

void put_json(Line& line, const Entry& entry, std::string_view stamp) noexcept {
  HostText text;
  line.put("{\"time\":\"");
  line.put(stamp);
  line.put("\",\"peer\":");
  line.put_quoted(peer_of(entry, text), kMostPeer, "null");
  line.put(",\"method\":");
  line.put_quoted(entry.method_token, kMostMethod, "null");
  line.put(",\"target\":");
  line.put_quoted(entry.target, kMostTarget, "null");
  line.put(",\"protocol\":");
  const bool known = !entry.method_token.empty() || !entry.target.empty();
  line.put_quoted(known ? protocol_of(entry) : "", kMostPeer, "null");
  line.put(",\"status\":");
  line.put(status_of(entry));
  line.put(",\"octets\":");
  line.put(entry.bytes);
  line.put(",\"referer\":");
  line.put_quoted(entry.referer, kMostReferer, "null");
  line.put(",\"user_agent\":");
  line.put_quoted(entry.user_agent, kMostAgent, "null");
  line.put(",\"seconds\":");
  put_seconds(line, entry.time);
  line.put(",\"reason\":");
  line.put_quoted(entry.reason, kMostReason, "null");
  line.put("}");
}

}  // namespace

std::size_t format_access_line(std::span<char> out, Format format, const Entry& entry,
                               std::string_view stamp) noexcept {
  Line line(out, format);
  if (format == Format::json) {
    put_json(line, entry, stamp);
  } else {
    put_common(line, entry, stamp);
    if (format == Format::combined) put_combined(line, entry);
    if (!entry.reason.empty()) {
      line.put(" ");
      line.put_quoted(entry.reason, kMostReason, "");
    }
  }
  line.put("\n");
  return line.size();
}

// Formats without strftime(3), whose month names follow the locale.
std::size_t format_access_stamp(std::span<char> out, Format format, std::time_t wall) noexcept {
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  tm local{};
  ::localtime_r(&wall, &local);
  const int year = std::clamp(local.tm_year + 1900, 0, 9999);
  const char sign = local.tm_gmtoff < 0 ? '-' : '+';
  const auto minutes = static_cast<int>(std::labs(local.tm_gmtoff) / 60 % 6000);
  const int written =
      format == Format::json
          ? std::snprintf(out.data(), out.size(), "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d", year,
                          local.tm_mon + 1, local.tm_mday, local.tm_hour, local.tm_min,
                          local.tm_sec, sign, minutes / 60, minutes % 60)
          : std::snprintf(out.data(), out.size(), "%02d/%s/%04d:%02d:%02d:%02d %c%02d%02d",
                          local.tm_mday, kMonths[static_cast<std::size_t>(local.tm_mon)], year,
                          local.tm_hour, local.tm_min, local.tm_sec, sign, minutes / 60,
                          minutes % 60);
  return std::min(static_cast<std::size_t>(std::max(written, 0)), out.size() - 1);
}

}  // namespace reactor::http
