// SPDX-License-Identifier: MIT
// These functions read the values of options. Each takes a text, and returns a value or throws
// BadValue.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "reactor/base/log.h"
#include "reactor/http/access_log.h"
#include "reactor/net/network.h"
#include "reactor/net/proxy.h"
#include "reactor/poller/readiness.h"
#include "reactor/prefork/bind.h"
#include "reactor/prefork/identity.h"
#include "reactor/prefork/prefork_options.h"
#include "servers/reply.h"

namespace servers {

// A value that can't be used. what() is the whole line for the user: flag, value, reason and
// remedy.
class BadValue : public std::runtime_error {
 public:
  BadValue(const std::string& flag, const std::string& value, const std::string& reason,
           const std::string& remedy);

  [[nodiscard]] const std::string& flag() const noexcept { return flag_; }
  [[nodiscard]] const std::string& value() const noexcept { return value_; }
  // Returns what() without the flag.
  [[nodiscard]] std::string rest() const { return std::string(what()).substr(flag_.size()); }

 private:
  std::string flag_, value_;
};

// All of these throw BadValue, which names `flag`.
[[nodiscard]] std::uint64_t parse_number(const std::string& flag, const std::string& text,
                                         std::uint64_t least, std::uint64_t most);
// Parses 0..1024, or `auto`: one per processor that this process may run on.
[[nodiscard]] unsigned parse_workers(const std::string& flag, const std::string& text);
// Parses `none`, `auto` (all processors that this process may run on), or a list like 0,2-5.
[[nodiscard]] std::vector<int> parse_processors(const std::string& flag, const std::string& text);
[[nodiscard]] bool parse_switch(const std::string& flag, const std::string& text);
[[nodiscard]] reactor::Backend parse_backend(const std::string& flag, const std::string& text);
[[nodiscard]] reactor::prefork::Model parse_model(const std::string& flag, const std::string& text);
[[nodiscard]] Reply parse_reply(const std::string& flag, const std::string& text);
[[nodiscard]] reactor::LogLevel parse_level(const std::string& flag, const std::string& text);
[[nodiscard]] reactor::http::AccessLog::Format parse_access_format(const std::string& flag,
                                                                   const std::string& text);
[[nodiscard]] reactor::ProxyProtocol parse_proxy_protocol(const std::string& flag,
                                                          const std::string& text);
// Parses one network, or several with commas between them.
[[nodiscard]] std::vector<reactor::Network> parse_networks(const std::string& flag,
                                                           const std::string& text);
// Looks up user and group. Throws BadValue if the user (--user) or the group (--group) is unknown.
[[nodiscard]] reactor::prefork::Identity parse_identity(const std::string& user,
                                                        const std::string& group);
// Returns the error for a pid file that can't be taken, except if another process holds the file.
[[nodiscard]] BadValue bad_pid_file(const std::string& flag, const std::string& path,
                                    std::error_code error);
// Checks that a Content-Type field may have this value.
void check_content_type(const std::string& flag, const std::string& text);
// Throws BadValue for "on", "off", "none" and the like, which are hardly meant as file names.
// `remedy` names the values to give instead.
void check_file_name(const std::string& flag, const std::string& text, const std::string& remedy);
// Parses one address, a host name (which stands for all its addresses), fd:N or systemd.
// `datagrams` says whether addresses for datagrams are allowed. With Names::ignored a host name is
// checked but not looked up, and gives no address.
enum class Names : std::uint8_t { looked_up, ignored };
[[nodiscard]] std::vector<reactor::prefork::Bind> parse_bind(const std::string& flag,
                                                             const std::string& text,
                                                             bool datagrams, Names names);

}  // namespace servers
