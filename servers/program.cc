// SPDX-License-Identifier: MIT
#include "servers/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <string>

#include "reactor/base/log_spdlog.h"
#include "reactor/base/unique_fd.h"

namespace servers {
namespace {

constexpr int kExitUsage = 2;

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

// Where the log goes. A file is opened anew on USR1 under the same descriptor, so that nothing that
// holds the number has to be told.
class Log {
 public:
  Log(Program program, std::string path) : program_(program), path_(std::move(path)) {}

  [[nodiscard]] bool open() {
    int fd = STDERR_FILENO;
    if (path_ != "-") {
      file_.reset(open_file());
      if (!file_) return false;
      fd = file_.get();
    }
    reactor::log_to_spdlog_fd(name_of(program_), fd);
    return true;
  }

  [[nodiscard]] bool is_file() const { return static_cast<bool>(file_); }

  void reopen() {
    if (!file_) return;
    const reactor::UniqueFd fresh(open_file());
    if (!fresh) {
      REACTOR_LOG(error, "can't reopen " + path_ + "; going on with the old file");
      return;
    }
    ::dup2(fresh.get(), file_.get());
    ::fcntl(file_.get(), F_SETFD, FD_CLOEXEC);
  }

 private:
  [[nodiscard]] int open_file() const {
    return ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  }

  Program program_;
  std::string path_;
  reactor::UniqueFd file_;
};

std::string remedy_for_inherited(const reactor::prefork::Bind& bind) {
  if (std::holds_alternative<reactor::prefork::SystemdSockets>(bind)) {
    return "start it by a socket unit, or give an address to bind";
  }
  return "pass a stream socket that listens, each only once, or give an address to bind";
}

std::string remedy_for(const reactor::prefork::Bind& bind, std::error_code error) {
  if (!std::holds_alternative<reactor::Address>(bind)) return remedy_for_inherited(bind);
  const reactor::Address& address = std::get<reactor::Address>(bind);
  if (error == std::errc::permission_denied || error == std::errc::operation_not_permitted) {
    if (address.is_unix()) return "let this user write to the directory, or use another path";
    return "use a port of 1024 or more, or grant CAP_NET_BIND_SERVICE (systemd: "
           "AmbientCapabilities=CAP_NET_BIND_SERVICE)";
  }
  if (error == std::errc::address_in_use) {
    if (address.is_unix()) return "stop the server that answers there, or remove what is no socket";
    return "stop what listens there (ss -ltnp names it), or use another port";
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

void print_line(int fd, const std::string& line) { print(fd, line + "\n"); }

// To whoever started the program, even where the log goes to a file.
void complain(Program program, const std::string& what) {
  print_line(STDERR_FILENO, std::string(name_of(program)) + ": " + what);
}

int serve_options(Program program, Options options, Serve serve) {
  open_standard_descriptors();
  ::signal(SIGPIPE, SIG_IGN);
  Log log(program, options.log);
  if (!log.open()) {
    complain(program, "--log '" + options.log + "': " + reactor::last_system_error().message() +
                          "; give a file that this user may write, or - for standard error");
    return kExitUsage;
  }
  reactor::set_log_level(options.log_level);
  reactor::prefork::Options& prefork = options.prefork;
  prefork.on_listening = [](const reactor::Address& address) {
    print_line(STDOUT_FILENO, "listening on " + address.to_string());
  };
  prefork.on_ready = [] { print_line(STDOUT_FILENO, "ready"); };
  prefork.on_bind_error = [program, &log](const reactor::prefork::Bind& bind,
                                          std::error_code error) {
    const std::string what =
        "--bind '" + to_string(bind) + "': " + error.message() + "; " + remedy_for(bind, error);
    complain(program, what);
    if (log.is_file()) REACTOR_LOG(error, what);
  };
  prefork.on_reopen = [&log] { log.reopen(); };
  return reactor::prefork::run(
      std::move(prefork), [serve, &service = options.service](reactor::prefork::Worker& worker) {
        return serve(worker, service);
      });
}

}  // namespace

int run_program(Program program, int argc, const char* const* argv, Serve serve) {
  Parsed parsed = parse_options(program, argc, argv);
  if (!parsed.exit_code) return serve_options(program, std::move(parsed.options), serve);
  print(*parsed.exit_code == 0 ? STDOUT_FILENO : STDERR_FILENO, parsed.text);
  return *parsed.exit_code;
}

}  // namespace servers
