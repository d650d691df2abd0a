// SPDX-License-Identifier: MIT
// Options is the command line that both programs share.
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
#include "reactor/net/datagram/reflection_guard.h"
#include "reactor/net/proxy.h"
#include "reactor/prefork/prefork_options.h"
#include "servers/control.h"
#include "servers/reply.h"
#include "servers/tls.h"

namespace servers {

// For a command line or a configuration that can't be used (docs/operations.md).
using reactor::prefork::kExitUsage;

enum class Program { echo, http_ok };

// Puts a renewed certificate into use.
using Renew = std::function<reactor::Result<>(const Tls&)>;

// The options that a worker needs in order to serve.
struct Service {
  std::size_t max_connections = 0;  // per worker; 0: the descriptor limit minus a reserve
  reactor::ProxyOptions proxy;
  Tls tls;
  // Called at HUP in a process without a master (--workers 0). Reads all options again, calls its
  // argument with the TLS settings if there are any, and applies the log level. If a step fails,
  // nothing changes, and the log says why.
  std::function<void(const Renew&)> reread = {};
  // reactor-echo only.
  Reply reply = Reply::raw;
  reactor::ReflectionLimits udp;      // decides which datagrams get an answer
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

// Options has everything that a user can set, checked and with the defaults filled in.
struct Options {
  reactor::prefork::Options prefork;  // addresses, workers, backlog, backend, ...
  Service service;
  reactor::LogLevel log_level = reactor::LogLevel::info;
  std::string log = "-";
  std::string pid;                 // empty: no pid file
  std::string user, group;         // of options.prefork.identity, for messages
  std::vector<std::string> binds;  // options.prefork.addresses as they were given
  std::optional<Command> command;  // to send instead of serving
  // The texts, as given, of each option that was set; to compare with a later reading.
  std::map<std::string, std::string> given;
};

// Settings that are looked up only at the start. A reload can't change them, and does not look them
// up again.
struct Fixed {
  std::vector<reactor::prefork::Bind> addresses;
  std::optional<reactor::prefork::Identity> identity;
};

// Parsed has the options or, if the program has to exit at once, an exit code and a text to print.
// After --help, --version and --check-config the exit code is 0, and `text` is for standard output.
// After an error the exit code is 2, and `text` is one line for standard error. It names the flag
// or the line in the file, the value, the reason and the remedy.
struct Parsed {
  std::optional<int> exit_code;
  std::string text;
  Options options;
};

// Reads the options. A flag takes precedence over the environment variable (such as
// REACTOR_WORKERS), which takes precedence over the file of --config. With --signal only the path
// of the pid file is taken from the file of --config.
//
// Prints nothing and changes nothing, so a running server can call it again with its arguments to
// read the file again. The server then passes the settings that it uses now as `running`, and they
// are put into the options. So the call asks no name server and no user database, and never waits
// for one. Without `running`, the look-up of each name may take kLookupLimit.
[[nodiscard]] Parsed parse_options(Program program, int argc, const char* const* argv,
                                   const Fixed* running = nullptr);

}  // namespace servers
