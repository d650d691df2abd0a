// SPDX-License-Identifier: MIT
#pragma once

#include <poll.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <string>
#include <string_view>
#include <utility>

#include "reactor/base/log.h"
#include "reactor/base/unique_fd.h"
#include "reactor/prefork/prefork.h"
#include "tests/support/backends.h"
#include "tests/support/fork.h"
#include "tests/support/run.h"

namespace reactor::prefork {

// A pipe for lines, which forked processes share. Short lines do not mix (pipe(7), PIPE_BUF).
class Lines {
 public:
  Lines() {
    std::array<int, 2> ends{};
    EXPECT_EQ(::pipe(ends.data()), 0);
    read_end_.reset(ends[0]);
    write_end_.reset(ends[1]);
  }

  void say(const std::string& text) const {
    const std::string line = text + "\n";
    EXPECT_EQ(::write(write_end_.get(), line.data(), line.size()),
              static_cast<ssize_t>(line.size()));
  }
  void close_write_end() { write_end_.reset(); }

  // Returns the next line, or "" at the end or after kLimit.
  [[nodiscard]] std::string next() {
    std::string::size_type end = 0;
    while ((end = pending_.find('\n')) == std::string::npos) {
      pollfd wait{read_end_.get(), POLLIN, 0};
      const int limit = static_cast<int>(kLimit / std::chrono::milliseconds(1));
      std::array<char, 4096> buffer;
      if (::poll(&wait, 1, limit) != 1) return "";
      const ssize_t count = ::read(read_end_.get(), buffer.data(), buffer.size());
      if (count <= 0) return "";
      pending_.append(buffer.data(), static_cast<std::size_t>(count));
    }
    std::string line = pending_.substr(0, end);
    pending_.erase(0, end + 1);
    return line;
  }

  // Returns the rest of the next line that starts with `begin`. The test fails if there is none.
  [[nodiscard]] std::string after(std::string_view begin) {
    std::string all;
    for (std::string line = next(); !line.empty(); line = next()) {
      if (line.substr(0, begin.size()) == begin) return line.substr(begin.size());
      all += line + "\n";
    }
    ADD_FAILURE() << "no line that begins with '" << begin << "' in:\n" << all;
    return "";
  }

 private:
  UniqueFd read_end_, write_end_;
  std::string pending_;
};

// Runs prefork::run() in a process of its own. The lines are "listening ADDRESS", "ready", "log
// MESSAGE", "bind-error ADDRESS", "reopen", those of the workers, and "returned CODE".
class Running {
 public:
  Running(Options options, Callback<int(Worker&, const Lines&)> serve) {
    pid_ = spawn_child([&] {
      set_log_sink(&Running::log, &lines);
      add_callbacks(options);
      const int code =
          run(std::move(options), [&](Worker& worker) { return serve(worker, lines); });
      lines.say("returned " + std::to_string(code));
      return code;
    });
    lines.close_write_end();
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    wait_for_child(pid_);
  }

  void signal(int number) const { EXPECT_EQ(::kill(pid_, number), 0); }
  // Returns the result of run(), or 128 plus the number of the signal that killed the process.
  [[nodiscard]] int wait() { return wait_for_child(std::exchange(pid_, 0)); }

  Lines lines;

 private:
  void add_callbacks(Options& options) {
    options.on_listening =
        [this, given = std::move(options.on_listening)](const Endpoint& endpoint) mutable {
          lines.say("listening " + endpoint.to_string());
          if (given) given(endpoint);
        };
    options.on_ready = [this] { lines.say("ready"); };
    options.on_bind_error = [this](const Bind& bind, std::error_code) {
      lines.say("bind-error " + to_string(bind));
    };
    options.on_reopen = [this] { lines.say("reopen " + std::to_string(::getpid())); };
  }

  static void log(void* context, LogLevel, std::string_view message) noexcept {
    static_cast<Lines*>(context)->say("log " + std::string(message));
  }

  pid_t pid_ = 0;
};

class PreforkTest : public BackendTest {
 protected:
  [[nodiscard]] Options options(unsigned workers) const {
    Options result;
    result.addresses = {Address::loopback(0)};
    result.workers = workers;
    result.backend = GetParam();
    return result;
  }
};

}  // namespace reactor::prefork
