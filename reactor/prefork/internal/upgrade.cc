// SPDX-License-Identifier: MIT
// Upgrade and Inheritance: the two ends of the channel between the old program and the new one.
// upgrade.h has the messages. The states of the new program, as the old one sees it:
//
//   starting -- `R` --> ready -- let_go() --> it owns the sockets
//      |                  |
//      |                  +-- too late ------------------+
//      +-- too late -------------------------------------+--> ending -- kKillDelay --> SIGKILL
//      +-- end of file --> silent -- kKillDelay ---------+
//
// If the new program exits in one of these states, waitpid(2) reports it, and the upgrade has
// failed.
#include "reactor/prefork/internal/upgrade.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdlib>
#include <span>

#include "reactor/base/error.h"
#include "reactor/base/internal/descriptors.h"
#include "reactor/base/log.h"
#include "reactor/net/fd_passing.h"
#include "reactor/net/socket.h"
#include "reactor/prefork/internal/system/process_calls.h"
#include "reactor/prefork/internal/system/signal_pipe.h"
#include "reactor/prefork/notify.h"

namespace reactor::prefork {
namespace {

constexpr int kPatience = 5000;  // milliseconds; a sound program sent the text before exec(2)
constexpr std::string_view kEnd = "end";
constexpr const char* kReady = "R";

std::string listed(const std::vector<int>& numbers) {
  std::string text;
  for (const int number : numbers) text += (text.empty() ? "" : ",") + std::to_string(number);
  return text;
}

std::string described(const UpgradeState& state) {
  std::string text;
  for (const ListenerGroup& group : state.groups) {
    text += std::string("group ") + (group.balanced ? "1 " : "0 ") + listed(group.descriptors) +
            " " + group.key + "\n";
  }
  std::vector<int> ends;
  for (const auto& [in, out] : state.mailboxes) ends.insert(ends.end(), {in, out});
  return text + "mailboxes " + listed(ends) + "\n" + std::string(kEnd) + "\n";
}

// Returns the first word of `line`, and removes it and the blank behind it from `line`.
std::string_view word(std::string_view& line) {
  const std::size_t blank = std::min(line.find(' '), line.size());
  const std::string_view first = line.substr(0, blank);
  line.remove_prefix(std::min(blank + 1, line.size()));
  return first;
}

bool is_unix_socket(int fd) {
  const Result<Address> address = Socket::local_address(fd);
  return address && address->is_unix();
}

bool parse_number(std::string_view text, int& number) {
  const char* const end = text.data() + text.size();
  const auto result = std::from_chars(text.data(), end, number);
  return result.ec == std::errc{} && result.ptr == end && number >= 0;
}

bool parse_list(std::string_view text, std::vector<int>& numbers) {
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    int number = -1;
    if (!parse_number(text.substr(0, comma), number)) return false;
    numbers.push_back(number);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return true;
}

// Parses the numbers of open descriptors, and makes them close-on-exec. Fails if one is not open.
bool parse_descriptors(std::string_view text, std::vector<int>& numbers) {
  return parse_list(text, numbers) && std::all_of(numbers.begin(), numbers.end(), [](int fd) {
           return ::fcntl(fd, F_SETFD, FD_CLOEXEC) == 0;
         });
}

void keep_over_exec(int fd) { ::fcntl(fd, F_SETFD, 0); }

// A service manager sets these variables for the program that it started. The pid in such a
// variable says which process is meant (sd_watchdog_enabled(3), sd_listen_fds(3)). The new program
// replaces its parent, so it puts its own pid in place of its parent's.
void inherit_pid(const char* name) {
  const char* const value = std::getenv(name);
  if (value == nullptr || std::to_string(::getppid()) != value) return;
  ::setenv(name, std::to_string(::getpid()).c_str(), 1);
}

// Runs in the child. The child may call any function, not only those that are async-signal-safe,
// because the master that forked it has one thread.
[[noreturn]] void execute(const Options::Upgrade& how, const UpgradeState& state, int channel) {
  keep_over_exec(channel);
  for (const ListenerGroup& group : state.groups) {
    std::for_each(group.descriptors.begin(), group.descriptors.end(), &keep_over_exec);
  }
  for (const auto& [in, out] : state.mailboxes) {
    keep_over_exec(in);
    keep_over_exec(out);
  }
  std::for_each(how.descriptors.begin(), how.descriptors.end(), &keep_over_exec);
  ::setenv(Upgrade::kName, std::to_string(channel).c_str(), 1);
  for (const char* const name : {"WATCHDOG_PID", "LISTEN_PID"}) inherit_pid(name);
  ::unsetenv("LISTEN_PIDFDID");  // it names the parent process too
  for (const auto& [name, value] : how.environment) ::setenv(name.c_str(), value.c_str(), 1);
  std::vector<char*> arguments;
  for (const std::string& argument : how.command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  ::execvp(arguments[0], arguments.data());
  REACTOR_LOG(error, "can't start " + how.command[0] + ": " + last_system_error().message());
  ::_exit(127);
}

}  // namespace

std::error_code Upgrade::start(const Options::Upgrade& how, const UpgradeState& state,
                               Duration limit) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, ends.data()) != 0) return last_system_error();
  UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  for (const int fd : ends) {
    if (!make_private(fd)) return last_system_error();
  }
  const std::string text = described(state);
  // Nobody reads yet, so all of it must fit into the socket's buffer.
  const int size = static_cast<int>(2 * text.size());
  ::setsockopt(ours.get(), SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
  if (::write(ours.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
    return make_error_code(std::errc::no_buffer_space);
  }
  SignalBlock blocked;
  const pid_t pid = ::fork();
  if (pid < 0) return last_system_error();
  if (pid == 0) {
    SignalPipe::restore_defaults();
    blocked.lift();
    execute(how, state, theirs.get());
  }
  channel_ = std::move(ours);
  pid_ = pid;
  state_ = State::starting;
  dropped_.clear();
  deadline_ = limit > Duration::zero() ? saturating_add(clock_.now(), limit) : TimePoint::max();
  return {};
}

Upgrade::News Upgrade::look() {
  if (pid_ == 0) return News::none;
  if (gone()) return News::failed;
  if (state_ == State::starting) {
    hear();
    if (state_ == State::ready) return News::ready;  // even if the time is up
  }
  if (clock_.now() >= deadline_) end_late_program();
  return state_ == State::ready ? News::ready : News::none;
}

// Reads the answer of the new program, which comes in one piece.
void Upgrade::hear() {
  std::array<char, 4096> buffer;
  const ssize_t count = ::read(channel_.get(), buffer.data(), buffer.size());
  if (count == 0) {
    state_ = State::silent;
    deadline_ = saturating_add(clock_.now(), kKillDelay);
  }
  if (count <= 0) return;
  state_ = State::ready;
  const std::string_view list(buffer.data() + 1, static_cast<std::size_t>(count) - 1);
  if (!parse_list(list, dropped_)) dropped_.clear();
}

void Upgrade::end_late_program() {
  switch (state_) {
    case State::starting:
      return cancel("is not ready in time");
    case State::ready:
      return cancel("is ready, but the service manager can't be told in time,");
    case State::silent:
      return cancel("closed its channel without becoming ready");
    case State::ending:
      deadline_ = TimePoint::max();
      ::kill(pid_, SIGKILL);
  }
}

// While a program that is ready waits for let_go(), the master tries again after each kRetryDelay
// to tell the service manager.
TimePoint Upgrade::next_turn() const noexcept {
  if (pid_ == 0 || state_ != State::ready) return deadline_;
  return std::min(deadline_, saturating_add(clock_.now(), Notifier::kRetryDelay));
}

bool Upgrade::gone() {
  int status = 0;
  const pid_t result = ::waitpid(pid_, &status, WNOHANG);
  if (result == 0 || (result < 0 && errno != ECHILD)) return false;
  failure_ = "process " + std::to_string(std::exchange(pid_, 0)) + " " + how_it_ended(status) +
             " before it took over";
  channel_.reset();
  deadline_ = TimePoint::max();
  return true;
}

void Upgrade::let_go() noexcept {
  channel_.reset();
  pid_ = 0;
  deadline_ = TimePoint::max();
}

// Keeps the channel open: end of file would tell the new program that the sockets belong to it.
void Upgrade::cancel(const std::string& why) {
  if (pid_ == 0 || state_ == State::ending) return;
  REACTOR_LOG(warn, "upgrade: process " + std::to_string(pid_) + " " + why + " and is ended");
  state_ = State::ending;
  deadline_ = saturating_add(clock_.now(), kKillDelay);
  ::kill(pid_, SIGTERM);
}

// ---- The new program ----

Inheritance Inheritance::take() {
  Inheritance inheritance;
  const char* const value = std::getenv(Upgrade::kName);
  if (value == nullptr) return inheritance;
  int number = -1;
  const bool named = parse_number(value, number) && is_unix_socket(number);
  ::unsetenv(Upgrade::kName);
  if (!named) {
    REACTOR_LOG(
        error, std::string(Upgrade::kName) + " is not the number of a unix socket, and is ignored");
    return inheritance;
  }
  inheritance.channel_.reset(number);
  if (make_private(number) && inheritance.read()) return inheritance;
  REACTOR_LOG(error, std::string("can't take over from an earlier program: the text from ") +
                         Upgrade::kName + " is damaged or incomplete");
  inheritance.channel_.reset();
  inheritance.inherited_ = {};
  inheritance.broken_ = true;
  return inheritance;
}

// The old program wrote all lines before it started this one.
bool Inheritance::read() {
  std::string text;
  std::array<char, 4096> buffer;
  const std::string last = "\n" + std::string(kEnd) + "\n";
  while (text.find(last) == std::string::npos) {
    pollfd wait{channel_.get(), POLLIN, 0};
    const int ready = ::poll(&wait, 1, kPatience);
    const ssize_t count = ready == 1 ? ::read(channel_.get(), buffer.data(), buffer.size()) : ready;
    if (count < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (count <= 0) return false;
    text.append(buffer.data(), static_cast<std::size_t>(count));
  }
  std::string_view rest = text;
  for (std::size_t end = rest.find('\n'); end != std::string::npos; end = rest.find('\n')) {
    if (rest.substr(0, end) == kEnd) return true;
    if (!parse(rest.substr(0, end))) return false;
    rest.remove_prefix(end + 1);
  }
  return false;
}

bool Inheritance::parse(std::string_view line) {
  const std::string_view kind = word(line);
  if (kind == "group") {
    ListenerGroup group;
    group.balanced = word(line) == "1";
    if (!parse_descriptors(word(line), group.descriptors)) return false;
    if (group.descriptors.empty()) return false;
    group.key = line;
    group.index = static_cast<int>(inherited_.groups.size());
    inherited_.groups.push_back(std::move(group));
    return true;
  }
  std::vector<int> ends;
  if (kind != "mailboxes" || !parse_descriptors(word(line), ends)) return false;
  if (ends.size() % 2 != 0) return false;
  for (std::size_t i = 0; i < ends.size(); i += 2) {
    inherited_.mailboxes.emplace_back(ends[i], ends[i + 1]);
  }
  return true;
}

std::vector<ListenerGroup> Inheritance::take_groups(const std::string& key) {
  std::vector<ListenerGroup> found;
  std::erase_if(inherited_.groups, [&](ListenerGroup& group) {
    const bool wanted = group.key == key;
    if (wanted) found.push_back(std::move(group));
    return wanted;
  });
  return found;
}

std::vector<std::pair<UniqueFd, UniqueFd>> Inheritance::take_mailboxes() {
  std::vector<std::pair<UniqueFd, UniqueFd>> boxes;
  for (const auto& [in, out] : inherited_.mailboxes)
    boxes.emplace_back(UniqueFd(in), UniqueFd(out));
  inherited_.mailboxes.clear();
  return boxes;
}

void Inheritance::close_rest() {
  for (const ListenerGroup& group : inherited_.groups) {
    REACTOR_LOG(warn, group.key + " is not in this configuration: it ends with the old program");
    dropped_.push_back(group.index);
    for (const int fd : group.descriptors) UniqueFd(fd).reset();
  }
  inherited_.groups.clear();
}

// The old program may be gone already; end_of_earlier() sees that.
void Inheritance::say_ready() noexcept {
  if (said_ready_ || !channel_) return;
  said_ready_ = true;
  const std::string text = kReady + listed(dropped_);
  static_cast<void>(send_with_descriptor(channel_.get(), std::as_bytes(std::span(text)), -1));
}

bool Inheritance::end_of_earlier() noexcept {
  if (!said_ready_ || !channel_) return false;
  char byte = 0;
  const ssize_t count = ::read(channel_.get(), &byte, 1);
  if (count > 0 || (count < 0 && is_transient(last_system_error()))) return false;
  channel_.reset();
  return true;
}

}  // namespace reactor::prefork
