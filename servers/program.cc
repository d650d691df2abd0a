// SPDX-License-Identifier: MIT
// A server parses its options, opens the log, raises the descriptor limit, takes the pid file, and
// then runs prefork with callbacks for a reload (HUP), the reopening of logs (USR1) and an upgrade
// (USR2). An error before prefork runs is thrown as Refused or BadValue and ends the program with
// one line on standard error. With --signal the program only sends a signal to a running server.
#include "servers/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <map>
#include <set>
#include <string>

#include "reactor/prefork/pid_file.h"
#include "reactor/spdlog/log_spdlog.h"
#include "servers/descriptors.h"
#include "servers/helper.h"
#include "servers/log_file.h"
#include "servers/lookup.h"
#include "servers/settings/messages.h"
#include "servers/settings/values.h"

namespace servers {
namespace {

using reactor::prefork::PidFile;
using Settings = std::map<std::string, std::string>;

// Opens /dev/null for standard descriptors that are closed. Otherwise the first socket would get
// such a number, and its peer would get text that is meant for a terminal.
void open_standard_descriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

std::string remedy_for_inherited(const reactor::prefork::Bind& bind) {
  if (std::holds_alternative<reactor::prefork::SystemdSockets>(bind)) {
    return "start the server by a socket unit, or give an address to bind";
  }
  return "pass a stream socket that listens or, to reactor-echo without --model fork, a datagram "
         "socket that is bound, each only once; or give an address to bind";
}

std::string remedy_for(const reactor::prefork::Bind& bind, std::error_code error) {
  const auto* const endpoint = std::get_if<reactor::Endpoint>(&bind);
  if (endpoint == nullptr) return remedy_for_inherited(bind);
  const reactor::Address& address = endpoint->address;
  if (error == std::errc::permission_denied || error == std::errc::operation_not_permitted) {
    if (address.is_unix()) return "let this user write to the directory, or use another path";
    return "use a port of 1024 or more, or grant CAP_NET_BIND_SERVICE (systemd: "
           "AmbientCapabilities=CAP_NET_BIND_SERVICE)";
  }
  if (error == std::errc::address_in_use) {
    if (address.is_unix()) {
      return "stop the server that answers there, or remove the file if it is not a socket";
    }
    return "stop the program that listens there (ss -lntup names it), or use another port";
  }
  if (error == std::errc::address_not_available) {
    return "use an address of this machine (ip address lists them)";
  }
  if (error == std::errc::no_such_file_or_directory) return "make the directory first";
  if (error == std::errc::too_many_files_open) return "raise ulimit -n or use fewer workers";
  return "use another address";
}

// Prints the text of --help and similar options. Ignores errors: there may be no reader.
void print(const std::string& text) {
  [[maybe_unused]] const auto written = ::write(STDOUT_FILENO, text.data(), text.size());
}

// ---- Starting ----

// Thrown if the program can't serve.
struct Refused {
  int exit_code;
  std::string why;
};

void check_identity(const Options& options) {
  const auto& identity = options.prefork.identity;
  if (!identity || ::geteuid() == 0 || is_current(*identity)) return;
  const bool user = !options.user.empty();
  throw BadValue(user ? "--user" : "--group", user ? options.user : options.group,
                 "only root can change it", "start as root, or leave the option out");
}

void open_log(Program program, const Options& options, LogFile& log) {
  if (const reactor::Result<> opened = log.open(); !opened) {
    throw BadValue("--log", options.log, why_not_opened(opened.error()),
                   "give a file that this user may write, or - for standard error");
  }
  reactor::log_to_spdlog_fd(name_of(program), log.fd());
  reactor::set_log_level(options.log_level);
}

// Gives the access log to the workers' user, because the workers open it.
void give_access_log(const Service& service,
                     const std::optional<reactor::prefork::Identity>& owner) {
  if (!service.access_log) return;
  const std::string& path = service.access_log->path;
  const reactor::Result<> given = give_log_file(path, owner);
  if (given) return;
  REACTOR_LOG(error, "can't give " + path + " to the workers' user: " + given.error().message());
}

// The environment variable by which a program that upgrades itself leaves its pid file to the new
// program. Its value is the number of the descriptor, a colon, and the path. Earlier versions gave
// only the number.
constexpr const char* kPidDescriptor = "REACTOR_UPGRADE_PID";

// Returns the pid file of the program that this one upgrades, or an empty PidFile.
PidFile take_earlier_pid_file(const std::string& own_path) {
  const char* const left = std::getenv(kPidDescriptor);
  const std::string text = left == nullptr ? "" : left;
  ::unsetenv(kPidDescriptor);
  const int descriptor = std::atoi(text.c_str());
  if (descriptor <= STDERR_FILENO) return {};
  const std::size_t colon = text.find(':');
  auto earlier =
      PidFile::adopt(colon == std::string::npos ? own_path : text.substr(colon + 1), descriptor);
  if (!earlier) return {};
  return std::move(*earlier);
}

PidFile take_pid_file(const std::string& path, PidFile& earlier) {
  if (path.empty()) return {};
  if (earlier.is_at(path)) return std::move(earlier);
  auto taken = PidFile::take(path);
  if (taken) return std::move(*taken);
  if (taken.error() != std::errc::device_or_resource_busy) {
    throw bad_pid_file("--pid", path, taken.error());
  }
  const pid_t holder = PidFile::holder(path).value_or(PidFile::Holder{}).pid;
  throw Refused{reactor::prefork::kExitFailed,
                "--pid '" + path + "': held by the running server" +
                    (holder > 0 ? " with pid " + std::to_string(holder) : "") +
                    "; stop that one, or give another file"};
}

// Returns the settings that a reload can't change, as a text to compare.
std::string fixed_settings(const Options& options) {
  std::string text;
  for (const std::string& bind : options.binds) text += bind + " ";
  return text + std::to_string(options.prefork.listen.backlog) +
         (options.prefork.reuse_port ? " on " : " off ") + options.log + " " + options.pid + " " +
         options.user + " " + options.group;
}

// Returns the names of the settings whose texts differ, except those in `without`.
std::string changes(const Settings& from, const Settings& to,
                    const std::set<std::string>& without) {
  std::set<std::string> names;
  for (const auto& [name, text] : from) {
    const auto same = to.find(name);
    if (same == to.end() || same->second != text) names.insert(name);
  }
  for (const auto& [name, text] : to) {
    if (!from.contains(name)) names.insert(name);
  }
  std::string list;
  for (const std::string& name : names) {
    if (!without.contains(name)) list += (list.empty() ? "" : ", ") + name;
  }
  return list;
}

void warn_about(const Options& options) {
  if (!options.service.tls.warning.empty()) REACTOR_LOG(warn, options.service.tls.warning);
}

using Reload = reactor::prefork::Options::Reload;

// Handles HUP: reads the arguments, the environment and the file again.
struct Reloader {
  Program program;
  int argc;
  const char* const* argv;
  Serve serve;
  Fixed running;
  std::string fixed;
  bool alone;  // without workers (--workers 0)
  Settings given;
  Service& current;  // the options of the generation in force

  std::optional<Reload> operator()() const {
    std::optional<Options> next = read();
    if (!next) return std::nullopt;
    if ((next->prefork.workers == 0) != alone) {
      return refuse(
          alone ? "--workers: a server without workers can't get any by a reload; restart it"
                : "--workers '0': the workers can't become one process; give 1 or more, "
                  "or restart the server");
    }
    try {
      provide_descriptors(*next);
    } catch (const BadValue& error) {
      return refuse(error.what());
    }
    return accept(std::move(*next));
  }

  // A process without workers can apply only the certificate and the log level: it used all other
  // settings at the start. The log level is set last, because nothing must have changed if the
  // certificate is refused.
  void in_place(const Renew& renew) const {
    std::optional<Options> next = read();
    if (!next) return;
    warn_about(*next);
    const Tls& tls = next->service.tls;
    const bool renews = tls.on() && current.tls.on();
    const reactor::Result<> renewed = renews ? renew(tls) : reactor::Result<>{};
    if (!renewed) {
      refuse("the certificate can't be used: " + renewed.error().message());
      return;
    }
    reactor::set_log_level(next->log_level);
    REACTOR_LOG(info, std::string("reloaded: ") + (renews ? "certificate and " : "") + "log level");
    const std::string waiting = changes(given, next->given, {"tls-cert", "tls-key", "log-level"});
    if (!waiting.empty()) {
      REACTOR_LOG(warn, "reload: changes of " + waiting + " wait for a restart (--workers 0)");
    }
    if (tls.on() && !current.tls.on()) {
      REACTOR_LOG(warn, "reload: TLS is switched on by a restart only (--workers 0)");
    }
  }

  // Returns the options as they are set now, or nothing if they can't be used, which is logged.
  [[nodiscard]] std::optional<Options> read() const {
    Parsed next = parse_options(program, argc, argv, &running);
    if (!next.exit_code && current.tls.on() && !next.options.service.tls.on()) {
      next.exit_code = kExitUsage;
      next.text =
          "--tls-cert and --tls-key are missing, and clients would be served without TLS; "
          "restart to switch TLS off";
    }
    if (!next.exit_code) return std::move(next.options);
    refuse(next.text);
    return std::nullopt;
  }

  static std::optional<Reload> refuse(const std::string& why) {
    REACTOR_LOG(error, "reload refused, all stays as it is: " + why);
    return std::nullopt;
  }

  [[nodiscard]] Reload accept(Options next) const {
    if (fixed_settings(next) != fixed) {
      REACTOR_LOG(warn,
                  "reload: changes of bind, backlog, reuse-port, log, pid, user and group wait "
                  "for a restart or an upgrade (USR2)");
    }
    warn_about(next);
    give_access_log(next.service, running.identity);
    const reactor::LogLevel level = next.log_level;
    const auto adopt = [&current = current, service = next.service, level]() mutable {
      reactor::set_log_level(level);
      current = std::move(service);
    };
    return Reload{next.prefork, worker_function(std::move(next.service), level), adopt};
  }

  // The level is also set in the worker, because a reload starts its first worker before it sets
  // the level in the master.
  [[nodiscard]] reactor::prefork::WorkerFunction worker_function(Service service,
                                                                 reactor::LogLevel level) const {
    return [serve = serve, service = std::move(service), level](reactor::prefork::Worker& worker) {
      reactor::set_log_level(level);
      return serve(worker, service);
    };
  }
};

void add_upgrade(Options& options, int argc, const char* const* argv, PidFile& pid_file) {
  reactor::prefork::Options::Upgrade& upgrade = options.prefork.upgrade;
  upgrade.command.assign(argv, argv + argc);
  if (pid_file.fd() >= 0) {
    upgrade.descriptors.push_back(pid_file.fd());
    upgrade.environment.emplace_back(kPidDescriptor,
                                     std::to_string(pid_file.fd()) + ":" + options.pid);
  }
  options.prefork.on_upgraded = [&pid_file] { pid_file.hand_over(); };
}

// Checks whether the workers can write the access log. An earlier check used the rights of this
// process, but the workers' user may have fewer.
void check_access_log(const Options& options) {
  if (!options.service.access_log || !options.prefork.identity || ::geteuid() != 0) return;
  const std::string& path = options.service.access_log->path;
  const auto reason = ask_helper(
      [&]() -> std::string {
        if (drop_to(*options.prefork.identity)) return "";  // the workers will report this error
        const reactor::Result<> writable = reactor::http::AccessLog::check(path);
        return writable ? "" : writable.error().message();
      },
      kLookupLimit);
  const std::string why = reason ? *reason : reason.error().message();
  if (why.empty()) return;
  throw BadValue("--access-log", path, "the workers can't write it: " + why,
                 "let their user write it and enter its directory");
}

// Called before the process gives up its rights. With --workers 0 and --user, this process serves
// clients, so it must not keep a descriptor that can write root's pid file.
void give_up_writing(const Options& options, PidFile& pid_file) {
  if (options.prefork.workers > 0 || !options.prefork.identity) return;
  if (const std::error_code error = pid_file.give_up_writing()) {
    throw bad_pid_file("--pid", options.pid, error);
  }
}

// Takes the pid file, now that this program serves. If the earlier program's pid file has another
// name, removes that file, because no other code does.
std::error_code claim_pid_files(PidFile& pid_file, PidFile& earlier) {
  if (earlier.fd() >= 0) {
    if (const std::error_code error = earlier.claim()) return error;
    earlier.remove();
  }
  return pid_file.fd() < 0 ? std::error_code{} : pid_file.claim();
}

void add_callbacks(Program program, Options& options, LogFile& log, PidFile& pid_file,
                   PidFile& earlier, StandardOutput& output) {
  reactor::prefork::Options& prefork = options.prefork;
  prefork.on_fork = [&pid_file, &earlier, &log] {
    pid_file.abandon_in_child();
    earlier.abandon_in_child();
    log.part_from_parent();
  };
  prefork.on_listening = [&output](const reactor::Endpoint& endpoint) {
    output.say("listening on " + endpoint.to_string());
  };
  const uid_t user = prefork.identity ? prefork.identity->user : ::geteuid();
  const auto begin = [user, alone = prefork.workers == 0 && prefork.identity, &pid_file, &earlier] {
    if (user == 0) REACTOR_LOG(warn, "serving as root; name a user without privileges by --user");
    std::error_code error = claim_pid_files(pid_file, earlier);
    if (!error && alone) error = pid_file.give_up_writing();
    if (error) {
      REACTOR_LOG(error, "can't write the pid file: " + error.message());
    }
  };
  prefork.on_succession = begin;
  prefork.on_ready = [begin, &output] {
    begin();
    output.say("ready");
  };
  prefork.on_bind_error = [program, &log](const reactor::prefork::Bind& bind,
                                          std::error_code error) {
    const std::string what =
        "--bind '" + to_string(bind) + "': " + error.message() + "; " + remedy_for(bind, error);
    complain(program, what);
    if (log.is_file()) REACTOR_LOG(error, what);
  };
  prefork.on_reopen = [&service = options.service, owner = prefork.identity, &log] {
    give_access_log(service, owner);
    log.reopen();
  };
}

int serve_options(Program program, Options options, int argc, const char* const* argv,
                  Serve serve) {
  open_standard_descriptors();
  ::signal(SIGPIPE, SIG_IGN);
  ::signal(SIGXFSZ, SIG_IGN);  // a log at RLIMIT_FSIZE then fails as on a full disk
  check_identity(options);
  LogFile log(options.log, options.prefork.identity);
  open_log(program, options, log);
  provide_descriptors(options);
  // Any process that reads the pid file may send signals. So signals are blocked until the server
  // handles them. After run() they stay blocked, so that no signal ends the program before the pid
  // file is removed and the exit code is returned.
  reactor::prefork::hold_signals();
  PidFile earlier = take_earlier_pid_file(options.pid);
  PidFile pid_file = take_pid_file(options.pid, earlier);
  give_up_writing(options, pid_file);
  give_access_log(options.service, options.prefork.identity);
  check_access_log(options);
  warn_about(options);
  StandardOutput output;
  add_callbacks(program, options, log, pid_file, earlier, output);
  add_upgrade(options, argc, argv, pid_file);
  const Reloader reloader{program,
                          argc,
                          argv,
                          serve,
                          {options.prefork.addresses, options.prefork.identity},
                          fixed_settings(options),
                          options.prefork.workers == 0,
                          options.given,
                          options.service};
  options.prefork.on_reload = [&reloader] { return reloader(); };
  if (options.prefork.workers == 0) {
    options.service.reread = [&reloader](const Renew& renew) { reloader.in_place(renew); };
  }
  options.prefork.report_descriptor = log.fd();
  const int status = reactor::prefork::run(
      std::move(options.prefork), reloader.worker_function(options.service, options.log_level));
  if (status == reactor::prefork::kExitNotReady && log.is_file()) {
    complain(program, "no worker became ready; " + options.log + " says why");
  }
  reactor::flush_spdlog();  // before the log is closed
  return status;
}

// Sends the command of --signal instead of serving.
int send_command(Program program, const Options& options) {
  const Outcome outcome = control(*options.command, options.pid);
  if (outcome.exit_code != 0) {
    complain(program, outcome.text);
  } else if (!outcome.text.empty()) {
    print(outcome.text + "\n");
  }
  return outcome.exit_code;
}

}  // namespace

int run_program(Program program, int argc, const char* const* argv, Serve serve) {
  Parsed parsed = parse_options(program, argc, argv);
  if (parsed.exit_code) {
    const std::string& warning = parsed.options.service.tls.warning;
    if (*parsed.exit_code == 0 && !warning.empty()) complain(program, warning);
    if (*parsed.exit_code == 0) {
      print(parsed.text);
    } else {
      complain(program, parsed.text);
    }
    return *parsed.exit_code;
  }
  if (parsed.options.command) return send_command(program, parsed.options);
  try {
    return serve_options(program, std::move(parsed.options), argc, argv, serve);
  } catch (const Refused& refused) {
    complain(program, refused.why);
    return refused.exit_code;
  } catch (const BadValue& error) {
    complain(program, error.what());
    return kExitUsage;
  }
}

}  // namespace servers
