// SPDX-License-Identifier: MIT
#include "servers/settings/values.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <sstream>
#include <string_view>

#include "reactor/base/error.h"
#include "reactor/http/response.h"
#include "reactor/prefork/processors.h"
#include "servers/lookup.h"
#include "servers/settings/brief.h"

namespace servers {
namespace {

constexpr unsigned kMostWorkers = 1024;

unsigned processors() {
  const std::size_t allowed = reactor::prefork::allowed_processors().size();
  if (allowed > 0) return static_cast<unsigned>(allowed);
  return static_cast<unsigned>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN)));
}

std::string backend_names() {
  std::string names = "auto";
  for (const reactor::Backend backend : reactor::available_backends()) {
    names += ", " + std::string(to_string(backend));
  }
  return names;
}

constexpr std::string_view kUdp = "udp:";

// Resolves HOST:PORT or udp:HOST:PORT with a host name. Returns each address once.
std::vector<reactor::prefork::Bind> resolve(const std::string& flag, const std::string& text) {
  using reactor::Endpoint;
  const bool udp = text.starts_with(kUdp);
  const std::size_t begin = udp ? kUdp.size() : 0;
  const std::size_t colon = text.rfind(':');
  const std::string host = text.substr(begin, colon - begin);
  std::vector<reactor::prefork::Bind> addresses;
  try {
    for (const reactor::Address& found : look_up_host(host, text.substr(colon + 1), udp)) {
      const reactor::prefork::Bind address =
          Endpoint(found, udp ? Endpoint::Kind::datagram : Endpoint::Kind::stream);
      if (std::find(addresses.begin(), addresses.end(), address) == addresses.end()) {
        addresses.push_back(address);
      }
    }
  } catch (const std::runtime_error& error) {
    throw BadValue(flag, text, "can't resolve '" + brief(host) + "': " + error.what(),
                   "give a name that /etc/hosts or DNS knows, or an address like 127.0.0.1:9090");
  }
  return addresses;
}

// Parses fd:N.
reactor::prefork::InheritedSocket parse_descriptor(const std::string& flag,
                                                   const std::string& text) {
  int number = -1;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + 3, end, number);
  if (error == std::errc{} && stop == end && number >= 0) return {number};
  throw BadValue(flag, text, "not the number of a descriptor", "give one like fd:3");
}

bool is_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc{} && end == text.data() + text.size();
}

// Returns whether the host may be a name that a name server knows. Without this check,
// getaddrinfo(3) would also ask name servers for mistakes such as "300.0.0.1" and "[::1".
bool looks_like_a_name(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos || !is_port(text.substr(colon + 1))) return false;
  const std::string_view host = text.substr(0, colon);
  return host.find_first_not_of("0123456789.") != std::string_view::npos &&
         host.find_first_of("[]:/@ ") == std::string_view::npos;
}

}  // namespace

BadValue::BadValue(const std::string& flag, const std::string& value, const std::string& reason,
                   const std::string& remedy)
    : std::runtime_error(flag + " '" + brief(value) + "': " + reason + "; " + remedy),
      flag_(flag),
      value_(value) {}

std::uint64_t parse_number(const std::string& flag, const std::string& text, std::uint64_t least,
                           std::uint64_t most) {
  const std::string range = std::to_string(least) + ".." + std::to_string(most);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || end != text.data() + text.size()) {
    throw BadValue(flag, text, "not a number", "give " + range);
  }
  if (error != std::errc{} || value < least || value > most) {
    throw BadValue(flag, text, "out of range", "give " + range);
  }
  return value;
}

unsigned parse_workers(const std::string& flag, const std::string& text) {
  if (text == "auto") return processors();
  try {
    return static_cast<unsigned>(parse_number(flag, text, 0, kMostWorkers));
  } catch (const BadValue&) {
    throw BadValue(flag, text, "not a number of workers",
                   "give 1..1024, 0 to serve in this process, or auto");
  }
}

// Parses one processor, `part`, of the list `text`. The message shows the whole list.
int parse_processor(const std::string& flag, const std::string& text, const std::string& part) {
  constexpr std::uint64_t kMost = 4095;
  try {
    return static_cast<int>(parse_number(flag, part, 0, kMost));
  } catch (const BadValue&) {
    throw BadValue(flag, text, "not a list of processors", "give none, auto, or one like 0,2-5");
  }
}

std::vector<int> parse_processors(const std::string& flag, const std::string& text) {
  if (text == "none") return {};
  std::vector<int> allowed = reactor::prefork::allowed_processors();
  if (text == "auto") return allowed;
  std::vector<int> list;
  std::istringstream parts(text);
  for (std::string part; std::getline(parts, part, ',');) {
    const std::size_t dash = part.find('-');
    const int first = parse_processor(flag, text, part.substr(0, dash));
    const int last =
        dash == std::string::npos ? first : parse_processor(flag, text, part.substr(dash + 1));
    if (last < first)
      throw BadValue(flag, text, "a range that ends before it begins", "give it like 2-5");
    for (int i = first; i <= last; ++i) list.push_back(i);
  }
  for (const int processor : list) {
    if (std::find(allowed.begin(), allowed.end(), processor) != allowed.end()) continue;
    throw BadValue(
        flag, text, "this process may not run on processor " + std::to_string(processor),
        "give none, auto, or a list of " + reactor::prefork::processors_to_string(allowed));
  }
  if (list.empty()) throw BadValue(flag, text, "no list of processors", "give none, auto or 0,2-5");
  return list;
}

bool parse_switch(const std::string& flag, const std::string& text) {
  if (text == "on") return true;
  if (text == "off") return false;
  throw BadValue(flag, text, "neither on nor off", "give on or off");
}

reactor::Backend parse_backend(const std::string& flag, const std::string& text) {
  if (text == "auto") return reactor::Backend::automatic;
  for (const reactor::Backend backend : reactor::available_backends()) {
    if (to_string(backend) == text) return backend;
  }
  throw BadValue(flag, text, "no such backend here", "give one of: " + backend_names());
}

reactor::prefork::Model parse_model(const std::string& flag, const std::string& text) {
  if (text == "prefork") return reactor::prefork::Model::prefork;
  if (text == "fork") return reactor::prefork::Model::fork;
  throw BadValue(flag, text, "no such model", "give prefork or fork");
}

Reply parse_reply(const std::string& flag, const std::string& text) {
  if (text == "raw") return Reply::raw;
  if (text == "pid") return Reply::pid;
  if (text == "time") return Reply::time;
  throw BadValue(flag, text, "no such reply", "give raw, pid or time");
}

reactor::LogLevel parse_level(const std::string& flag, const std::string& text) {
  using reactor::LogLevel;
  for (const LogLevel level : {LogLevel::trace, LogLevel::debug, LogLevel::info, LogLevel::warn,
                               LogLevel::error, LogLevel::critical, LogLevel::off}) {
    if (to_string(level) == text) return level;
  }
  throw BadValue(flag, text, "no such level",
                 "give trace, debug, info, warn, error, critical or off");
}

reactor::http::AccessLog::Format parse_access_format(const std::string& flag,
                                                     const std::string& text) {
  using Format = reactor::http::AccessLog::Format;
  if (text == "common") return Format::common;
  if (text == "combined") return Format::combined;
  if (text == "json") return Format::json;
  throw BadValue(flag, text, "no such format", "give common, combined or json");
}

reactor::ProxyProtocol parse_proxy_protocol(const std::string& flag, const std::string& text) {
  using reactor::ProxyProtocol;
  if (text == "off") return ProxyProtocol::off;
  if (text == "v1") return ProxyProtocol::v1;
  if (text == "v2") return ProxyProtocol::v2;
  if (text == "auto") return ProxyProtocol::either;
  throw BadValue(flag, text, "no such version", "give off, v1, v2 or auto");
}

std::vector<reactor::Network> parse_networks(const std::string& flag, const std::string& text) {
  std::vector<reactor::Network> networks;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(',', begin), text.size());
    const std::string part = text.substr(begin, end - begin);
    const auto network = reactor::Network::parse(part);
    if (!network) {
      throw BadValue(flag, text, "'" + brief(part) + "' is not a network",
                     "give an address or a prefix without host bits, like 10.0.0.0/8 or ::1");
    }
    networks.push_back(*network);
    begin = end + 1;
  }
  return networks;
}

reactor::prefork::Identity parse_identity(const std::string& user, const std::string& group) {
  auto identity = look_up_identity(user, group);
  if (identity) return std::move(*identity);
  if (identity.error() != reactor::Errc::unknown_user &&
      identity.error() != reactor::Errc::unknown_group) {
    throw BadValue(user.empty() ? "--group" : "--user", user.empty() ? group : user,
                   "the user database does not answer: " + identity.error().message(),
                   "try again, or give numbers for both --user and --group");
  }
  if (identity.error() == reactor::Errc::unknown_user) {
    throw BadValue("--user", user, "unknown user", "give a name or number that `id` knows");
  }
  if (group.empty()) {
    throw BadValue("--user", user, "has no entry in the user database, and so no group",
                   "give --group too");
  }
  throw BadValue("--group", group, "unknown group",
                 "give a name that `getent group` lists, or a number");
}

BadValue bad_pid_file(const std::string& flag, const std::string& path, std::error_code error) {
  if (error == std::errc::file_exists) {
    return {flag, path, "contains something other than a pid", "remove it or give another file"};
  }
  if (error == std::errc::no_space_on_device) {
    return {flag, path, error.message(), "make room on that disk, or give another file"};
  }
  return {flag, path, error.message(), "give a file in a directory that this user may write"};
}

void check_file_name(const std::string& flag, const std::string& text, const std::string& remedy) {
  constexpr std::array<std::string_view, 9> kSwitches = {"on",    "off",  "yes", "no", "true",
                                                         "false", "none", "0",   "1"};
  std::string word = text;
  for (char& c : word) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  if (std::find(kSwitches.begin(), kSwitches.end(), word) == kSwitches.end()) return;
  throw BadValue(flag, text, "probably not meant as a file name",
                 remedy + ", or ./" + text + " for a file of that name");
}

void check_content_type(const std::string& flag, const std::string& text) {
  reactor::http::PreparedFields fields;
  const std::size_t slash = text.find('/');  // TYPE/SUBTYPE (RFC 9110 section 8.3.1)
  const bool has_both = slash != std::string::npos && slash > 0 && slash + 1 < text.size();
  if (has_both && fields.add("Content-Type", text)) return;
  throw BadValue(flag, text, "not a media type", "give one like text/plain, in one line");
}

std::vector<reactor::prefork::Bind> parse_bind(const std::string& flag, const std::string& text,
                                               bool datagrams, Names names) {
  if (!datagrams && (text.starts_with(kUdp) || text.starts_with("unixgram:"))) {
    throw BadValue(flag, text, "a datagram socket, but HTTP/1.1 needs streams",
                   "use HOST:PORT or unix:PATH");
  }
  if (text == "systemd") return {reactor::prefork::SystemdSockets{}};
  if (text.starts_with("fd:")) return {parse_descriptor(flag, text)};
  const reactor::Result<reactor::Endpoint> endpoint = reactor::Endpoint::parse(text);
  if (endpoint) return {*endpoint};
  if (endpoint.error() == reactor::Errc::address_too_long) {
    throw BadValue(flag, text, "path too long for a unix socket", "use at most 107 bytes");
  }
  if (looks_like_a_name(text.substr(text.starts_with(kUdp) ? kUdp.size() : 0))) {
    if (names == Names::ignored) return {};
    return resolve(flag, text);
  }
  throw BadValue(
      flag, text, "not an address",
      "use HOST:PORT, :PORT, [V6]:PORT, unix:PATH, unix:@NAME, fd:N or systemd, with a port of "
      "0..65535" +
          (datagrams ? std::string("; for datagrams udp:HOST:PORT, unixgram:PATH or unixgram:@NAME")
                     : std::string()));
}

}  // namespace servers
