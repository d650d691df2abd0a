// SPDX-License-Identifier: MIT
// AccessLog: writes one line for each request that was answered.
//
//   auto log = reactor::http::AccessLog::open(loop, {.path = "/var/log/app/access.log"}).value();
//   options.access_log = log.get();
#pragma once

#include <sys/types.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/loop/handle.h"
#include "reactor/net/address.h"

namespace reactor {
class Loop;
}

namespace reactor::http {

// Collects lines and writes them in batches: as soon as there are 16 KiB, or after
// Options::batch_time. A batch takes one write(2) to a file, and one for every 4 KiB to anything
// else. Never waits for the reader of the log. If there is no room, up to 64 KiB of lines are kept;
// further lines are lost and counted, and the program's log reports how many. A line is written
// whole or not at all if the system can do that, so several processes may write to one file or to
// one pipe.
//
// Everything that comes from a peer is escaped, so that nobody can forge a line: control
// characters, quotes, backslashes and all bytes that are not ASCII become \xHH, in JSON \u00HH. A
// line has at most 4,096 bytes (a pipe on Linux takes that many in one piece); longer texts are cut
// and end in "...".
//
// If a request was refused (a rule of HTTP, a limit, a timeout) or its handler failed, its line
// ends with the reason: in JSON the last member, in the other formats one more field, in quotes.
//
// Belongs to its loop's thread and process, so each worker opens its own. In a forked child it
// drops the parent's lines instead of writing them twice.
class AccessLog {
 public:
  enum class Format : std::uint8_t {
    common,    // HOST - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 2326
    combined,  // the same, and "REFERER" "USER-AGENT"
    json,      // {"time":"2000-10-10T13:55:36-07:00","peer":HOST,"method":..,"target":..,
               //  "protocol":..,"status":200,"octets":2326,"referer":..,"user_agent":..,
               //  "seconds":0.000123,"reason":..}: one object a line, null for what there is not
  };

  struct Options {
    // A file, which is created (mode 0644) if it doesn't exist and appended to; a FIFO; a device.
    // "-" is standard output. Its file status flags are not changed, because other processes share
    // them.
    std::string path = "-";
    Format format = Format::combined;
    // The longest time that a line waits for its batch.
    Duration batch_time = std::chrono::seconds(1);
    // Lost lines are reported at most this often, and when the log is destroyed.
    Duration report_interval = std::chrono::seconds(60);
  };

  // A request and its answer. The views are used only during add().
  struct Entry {
    // The client: the host of `peer`, or `peer_text` if that is not empty. A text that contains
    // blanks is logged in JSON only; the other formats show "-".
    const Address* peer = nullptr;
    std::string_view peer_text;
    // Both are empty if the request was refused because of its head, or before the head was
    // complete. They are then logged as "-", in JSON as null.
    std::string_view method_token;
    std::string_view target;
    std::uint8_t minor_version = 1;
    int status = 0;
    std::uint64_t octets = 0;  // of the content that was sent
    std::string_view referer;
    std::string_view user_agent;
    // The time until the answer. It is 0 if the answer was given in the turn of the loop that read
    // the request, even if the handler took long. Logged in JSON only, in microseconds.
    Duration time{};
    std::string_view reason;  // why the request was refused; "" if it was not
  };

  // Opens the log; the loop must outlive it. Errors: those of open(2); no_such_device_or_address
  // for a socket; bad_file_descriptor if standard output is closed.
  [[nodiscard]] static Result<std::unique_ptr<AccessLog>> open(Loop& loop, Options options);
  // Checks whether open() would succeed. Creates the file if it doesn't exist.
  [[nodiscard]] static Result<> check(const std::string& path);

  // Writes the collected lines, without waiting.
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Adds a line; allocates nothing. The time in the line is the loop's now() as local time; the
  // wall clock is read once a second.
  void add(const Entry& entry) noexcept;

  // Writes the collected lines now, as far as that is possible without waiting.
  void flush() noexcept;

  // Opens the path again after a rotation. Lines collected so far go to the old file. On an error
  // the old file stays in use. Errors: those of open(). Does nothing for standard output.
  Result<> reopen();

  // How many lines could not be written since the log was opened.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  static constexpr std::size_t kRoom = 64 * 1024;

  // How to write without waiting.
  enum class Kind : std::uint8_t {
    file,    // a write doesn't wait for a reader
    own,     // opened here with O_NONBLOCK, which affects no other process
    shared,  // the flags are shared with other processes: poll(2) before each write
  };
  struct Target {
    UniqueFd fd;
    Kind kind = Kind::file;
  };

  AccessLog(Loop& loop, Options options, Target target);
  [[nodiscard]] static Result<Target> open_target(const std::string& path);
  [[nodiscard]] static Result<Target> open_standard_output();
  [[nodiscard]] static Result<Target> open_path(const char* path);

  [[nodiscard]] std::string_view stamp();
  [[nodiscard]] std::string_view pending() const noexcept;
  void adopt_process() noexcept;
  void write_batch() noexcept;
  [[nodiscard]] std::size_t piece_of(std::string_view text) const noexcept;
  [[nodiscard]] ssize_t write_piece(std::string_view text) noexcept;
  void make_room() noexcept;
  void on_timer();
  void lose_torn() noexcept;
  void tell_losses();

  Loop& loop_;
  Options options_;
  Target target_;
  Timer timer_;
  Timer report_timer_;  // for losses that must wait for report_interval
  TimePoint stamp_until_ = TimePoint::min();
  std::array<char, 32> stamp_{};
  std::size_t stamp_size_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t told_ = 0;  // how many of lost_ the program's log has reported
  TimePoint tell_at_ = TimePoint::min();
  int error_ = 0;   // errno of the last write, 0 if it succeeded
  int reason_ = 0;  // errno of the last write that failed
  std::uint32_t process_;
  bool torn_ = false;  // the front line was written in part
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<char, kRoom> room_;
};

}  // namespace reactor::http
