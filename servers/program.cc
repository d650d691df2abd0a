// SPDX-License-Identifier: MIT
#include "servers/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <string>

#include "reactor/base/log_spdlog.h"
#include "reactor/base/printable.h"
#include "reactor/prefork/descriptor_limit.h"
#include "reactor/prefork/pid_file.h"
#include "servers/log_file.h"
#include "servers/values.h"

namespace servers {
namespace {

using reactor::prefork::PidFile;

constexpr int kExitUsage = 2;
constexpr std::uint64_t kOtherDescriptors = 64;  // logs, the poller, pipes to the master

const char* name_of(Program program) {
  return program == Program::echo ? "reactor-echo" : "reactor-http-ok";
}

// A closed standard descriptor's number would go to the first socket, which would then get what is
// meant for a terminal.
void open_standard_descriptors() {
  int fd = 0;
  do {
    fd = ::open("/dev/null", O_RDWR);
  } while (fd >= 0 && fd <= STDERR_FILENO);
  if (fd >= 0) ::close(fd);
}

std::string remedy_for_inherited(const reactor::prefork::Bind& bind) {
  if (std::holds_alternative<reactor::prefork::SystemdSockets>(bind)) {
    return "start it by a socket unit, or give an address to bind";
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
    if (address.is_unix()) return "stop the server that answers there, or remove what is no socket";
    return "stop what listens there (ss -lntup names it), or use another port";
  }
  if (error == std::errc::address_not_available) {
    return "use an address of this machine (ip address lists them)";
  }
  if (error == std::errc::no_such_file_or_directory) return "make the directory first";
  if (error == std::errc::too_many_files_open) return "raise ulimit -n or use fewer workers";
  return "use another address";
}

// At once, and in one piece; nobody may be there to read it.
void print(int fd, const std::string& text) {
  [[maybe_unused]] const auto written = ::write(fd, text.data(), text.size());
}

// Some of it may come from elsewhere: an argument, a file, the path of an inherited socket.
void print_line(int fd, const std::string& line) { print(fd, reactor::printable(line) + "\n"); }

// To whoever started the program, even where the log goes to a file.
void complain(Program program, const std::string& what) {
  print_line(STDERR_FILENO, std::string(name_of(program)) + ": " + what);
}

// ---- Starting ----

// What keeps the program from serving: said to the user already.
struct Refused {
  int exit_code;
};

void check_identity(Program program, const Options& options) {
  const auto& identity = options.prefork.identity;
  if (!identity || ::geteuid() == 0 || is_current(*identity)) return;
  const bool user = !options.user.empty();
  complain(program, (user ? "--user '" + options.user : "--group '" + options.group) +
                        "': only root can change it; start as root, or leave it away");
  throw Refused{kExitUsage};
}

void open_log(Program program, const Options& options, LogFile& log) {
  if (const reactor::Result<> opened = log.open(); !opened) {
    complain(program, "--log '" + options.log + "': " + opened.error().message() +
                          "; give a file that this user may write, or - for standard error");
    throw Refused{kExitUsage};
  }
  reactor::log_to_spdlog_fd(name_of(program), log.fd());
  reactor::set_log_level(options.log_level);
}

// The workers open it, perhaps as another user.
void give_access_log(const Service& service,
                     const std::optional<reactor::prefork::Identity>& owner) {
  if (!service.access_log) return;
  const std::string& path = service.access_log->path;
  const reactor::Result<> given = give_log_file(path, owner);
  if (given) return;
  REACTOR_LOG(error, "can't make " + path + " the workers' own: " + given.error().message());
}

// An upgrade leaves it open for us.
constexpr const char* kPidDescriptor = "REACTOR_UPGRADE_PID";

PidFile take_pid_file(Program program, const std::string& path) {
  const char* const left = std::getenv(kPidDescriptor);
  const int descriptor = left == nullptr ? -1 : std::atoi(left);
  ::unsetenv(kPidDescriptor);
  if (path.empty()) return {};
  if (descriptor > STDERR_FILENO) {
    if (auto inherited = PidFile::adopt(path, descriptor)) return std::move(*inherited);
  }
  auto taken = PidFile::take(path);
  if (taken) return std::move(*taken);
  if (taken.error() != std::errc::device_or_resource_busy) {
    complain(program, bad_pid_file("--pid", path, taken.error()).what());
    throw Refused{kExitUsage};
  }
  const pid_t holder = PidFile::holder(path).value_or(-1);
  complain(program, "--pid '" + path + "': held by the running server" +
                        (holder > 0 ? " with pid " + std::to_string(holder) : "") +
                        "; stop that one, or give another file");
  throw Refused{reactor::prefork::kExitFailed};
}

void raise_limit(const Options& options) {
  if (options.service.max_connections == 0) return;
  const std::uint64_t sockets = options.prefork.workers * options.prefork.addresses.size();
  const std::uint64_t needed = options.service.max_connections + sockets + kOtherDescriptors;
  const std::uint64_t limit = reactor::prefork::raise_descriptor_limit(needed);
  if (limit >= needed) return;
  REACTOR_LOG(warn, "--max-connections '" + std::to_string(options.service.max_connections) +
                        "': each worker needs " + std::to_string(needed) +
                        " descriptors and may have " + std::to_string(limit) +
                        "; raise the limit (ulimit -n, in a unit LimitNOFILE=)");
}

// Everything that a reload can't change, for a comparison.
std::string fixed_settings(const Options& options) {
  std::string text;
  for (const auto& bind : options.prefork.addresses) text += to_string(bind) + " ";
  return text + std::to_string(options.prefork.listen.backlog) +
         (options.prefork.reuse_port ? " on " : " off ") + options.log + " " + options.pid + " " +
         options.user + " " + options.group;
}

using Reload = reactor::prefork::Options::Reload;

// HUP: the arguments, the environment and the file once more.
struct Reloader {
  Program program;
  int argc;
  const char* const* argv;
  Serve serve;
  std::string fixed;
  Service& current;  // of the latest generation

  std::optional<Reload> operator()() const {
    Parsed next = parse_options(program, argc, argv);
    if (next.exit_code) {
      REACTOR_LOG(error, "reload refused, all stays as it is: " + next.text);
      return std::nullopt;
    }
    if (fixed_settings(next.options) != fixed) {
      REACTOR_LOG(warn,
                  "reload: changes of bind, backlog, reuse-port, log, pid, user and group wait "
                  "for a restart or an upgrade (USR2)");
    }
    reactor::set_log_level(next.options.log_level);
    give_access_log(next.options.service, next.options.prefork.identity);
    raise_limit(next.options);
    current = std::move(next.options.service);
    return Reload{next.options.prefork, worker_function(current)};
  }

  [[nodiscard]] reactor::prefork::WorkerFunction worker_function(Service service) const {
    return [serve = serve, service = std::move(service)](reactor::prefork::Worker& worker) {
      return serve(worker, service);
    };
  }
};

void add_upgrade(Options& options, int argc, const char* const* argv, PidFile& pid_file) {
  reactor::prefork::Options::Upgrade& upgrade = options.prefork.upgrade;
  upgrade.command.assign(argv, argv + argc);
  if (pid_file.fd() >= 0) {
    upgrade.descriptors.push_back(pid_file.fd());
    upgrade.environment.emplace_back(kPidDescriptor, std::to_string(pid_file.fd()));
  }
  options.prefork.on_upgraded = [&pid_file] { pid_file.hand_over(); };
}

void add_callbacks(Program program, Options& options, LogFile& log, PidFile& pid_file) {
  reactor::prefork::Options& prefork = options.prefork;
  prefork.on_fork = [&pid_file] { pid_file.abandon_in_child(); };
  prefork.on_listening = [](const reactor::Endpoint& endpoint) {
    print_line(STDOUT_FILENO, "listening on " + endpoint.to_string());
  };
  const uid_t user = prefork.identity ? prefork.identity->user : ::geteuid();
  const auto begin = [user, &pid_file] {
    if (user == 0) REACTOR_LOG(warn, "serving as root; name a user without rights by --user");
    if (pid_file.fd() < 0) return;
    if (const std::error_code error = pid_file.claim()) {
      REACTOR_LOG(error, "can't write the pid file: " + error.message());
    }
  };
  prefork.on_succession = begin;
  prefork.on_ready = [begin] {
    begin();
    print_line(STDOUT_FILENO, "ready");
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
  check_identity(program, options);
  LogFile log(options.log, options.prefork.identity);
  open_log(program, options, log);
  PidFile pid_file = take_pid_file(program, options.pid);
  give_access_log(options.service, options.prefork.identity);
  raise_limit(options);
  add_callbacks(program, options, log, pid_file);
  add_upgrade(options, argc, argv, pid_file);
  const Reloader reloader{program, argc, argv, serve, fixed_settings(options), options.service};
  options.prefork.on_reload = [&reloader] { return reloader(); };
  options.prefork.report_descriptor = log.fd();
  return reactor::prefork::run(std::move(options.prefork),
                               reloader.worker_function(options.service));
}

// Instead of serving.
int send_command(Program program, const Options& options) {
  const Outcome outcome = control(*options.command, options.pid);
  if (outcome.exit_code != 0) {
    complain(program, outcome.text);
  } else if (!outcome.text.empty()) {
    print_line(STDOUT_FILENO, outcome.text);
  }
  return outcome.exit_code;
}

}  // namespace

int run_program(Program program, int argc, const char* const* argv, Serve serve) {
  Parsed parsed = parse_options(program, argc, argv);
  if (parsed.exit_code) {
    print(*parsed.exit_code == 0 ? STDOUT_FILENO : STDERR_FILENO, parsed.text);
    return *parsed.exit_code;
  }
  if (parsed.options.command) return send_command(program, parsed.options);
  try {
    return serve_options(program, std::move(parsed.options), argc, argv, serve);
  } catch (const Refused& refused) {
    return refused.exit_code;
  }
}

}  // namespace servers
