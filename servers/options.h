// SPDX-License-Identifier: MIT
// The command line that both programs share.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "reactor/base/log.h"
#include "reactor/http/access_log.h"
#include "reactor/http/limits.h"
#include "reactor/net/address.h"
#include "reactor/net/proxy.h"
#include "reactor/net/reflection_guard.h"
#include "reactor/prefork/options.h"
#include "servers/control.h"
#include "servers/reply.h"
#include "servers/tls.h"

namespace servers {

// A command line or a configuration that can't be used (docs/operations.md).
inline constexpr int kExitUsage = 2;

enum class Program { echo, http_ok };

// What a worker goes by.
struct Service {
  std::size_t max_connections = 0;  // per worker; 0: the descriptor limit less a reserve
  reactor::ProxyOptions proxy;
  Tls tls;
  // HUP came in a process without a master (--workers 0): reads all options again, and applies what
  // is not the worker function's. The TLS to go on with; nothing: it stays as it is.
  std::function<std::optional<Tls>()> reread = {};
  // reactor-echo only.
  Reply reply = Reply::raw;
  reactor::ReflectionLimits udp;      // whose datagrams it answers
  reactor::Duration idle_timeout{0};  // 0: none
  // reactor-http-ok only.
  reactor::http::Limits limits;
  reactor::Duration keep_alive = std::chrono::seconds(75);
  reactor::Duration header_timeout = std::chrono::seconds(60);
  reactor::Duration body_timeout = std::chrono::seconds(60);
  std::uint32_t body_rate = 500;
  reactor::Duration write_timeout = std::chrono::seconds(30);
  std::string body = "OK\n";
  std::string content_type = "text/plain";
  std::optional<reactor::http::AccessLog::Options> access_log;
};

// What a user can set, checked and with the defaults filled in.
struct Options {
  reactor::prefork::Options prefork;  // addresses, workers, backlog, backend, ...
  Service service;
  reactor::LogLevel log_level = reactor::LogLevel::info;
  std::string log = "-";
  std::string pid;                 // empty: no pid file
  std::string user, group;         // of options.prefork.identity, for messages
  std::vector<std::string> binds;  // options.prefork.addresses as they were given
  std::optional<Command> command;  // to be sent instead of serving
  // Each option that is not its default, and its texts as given: to compare with another reading.
  std::map<std::string, std::string> given;
};

// What a reload can't change, and so is not looked up again then.
struct Fixed {
  std::vector<reactor::prefork::Bind> addresses;
  std::optional<reactor::prefork::Identity> identity;
};

// The options, or what the program prints and exits with at once: 0 after --help, --version and
// --check-config, whose `text` goes to standard output; 2 after an error, whose `text` is one line
// for standard error that names the flag or the place in the file, the value, the reason and the
// remedy.
struct Parsed {
  std::optional<int> exit_code;
  std::string text;
  Options options;
};

// A flag wins over its environment name (REACTOR_WORKERS), that over the file that --config names,
// that over the default. With --signal only its pid file is looked for in the file.
// Prints nothing and changes nothing, so that a running server can call it again with its arguments
// to read the file once more. It then gives what is `running`, which is put into the options: no
// name server and no user database is asked, and nothing waits. Without it, each name that is
// looked up may take kLookupLimit.
[[nodiscard]] Parsed parse_options(Program program, int argc, const char* const* argv,
                                   const Fixed* running = nullptr);

}  // namespace servers
