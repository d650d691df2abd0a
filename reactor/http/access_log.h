// SPDX-License-Identifier: MIT
// AccessLog writes one line for each request and its response.
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

// AccessLog collects lines and writes them in batches: as soon as there are 16 KiB, or after
// Options::batch_time. A batch takes one write(2) to a file, and one for every 4 KiB to anything
// else. The log never waits for its reader. While the reader is behind, up to 64 KiB of lines are
// kept. Further lines are lost, and the program's log reports how many. If the system allows it, a
// line is written whole or not at all, so several processes may write to one file or to one pipe.
//
// All text that comes from a peer is escaped, so a peer can't forge a line: control characters,
// quotes, backslashes and all bytes that are not ASCII become \xHH, in JSON \u00HH. A line has at
// most 4,096 bytes, which a pipe on Linux takes in one piece. Longer texts are cut and end in
// "...".
//
// If a request was refused (a rule of HTTP, a limit, a timeout) or its handler failed, its line
// ends with the reason. In JSON the reason is the last member. In the other formats it is one more
// field, in quotes.
//
// An AccessLog belongs to its loop's thread and process, so each worker opens one for itself. In a
// forked child the copy of the log drops the parent's lines instead of writing them a second time.
class AccessLog {
 public:
  enum class Format : std::uint8_t {
    common,    // HOST - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 2326
    combined,  // the same, and "REFERER" "USER-AGENT"
    json,      // {"time":"2000-10-10T13:55:36-07:00","peer":HOST,"method":..,"target":..,
               //  "protocol":..,"status":200,"octets":2326,"referer":..,"user_agent":..,
               //  "seconds":0.000123,"reason":..}: one object a line, null if unknown
  };

  struct Options {
    // The path of a file, a FIFO or a device. Lines are appended to a file, which is created (mode
    // 0644) if it doesn't exist. "-" is standard output, whose file status flags are not changed,
    // because other processes share them.
    std::string path = "-";
    Format format = Format::combined;
    // The longest time that a line waits for its batch.
    Duration batch_time = std::chrono::seconds(1);
    // Lost lines are reported at most this often, and when the log is destroyed.
    Duration report_interval = std::chrono::seconds(60);
  };

  // Entry describes a request and its response. The views are used only during add().
  struct Entry {
    // The client: `peer_text`, or the host of `peer` if `peer_text` is empty. A text that contains
    // blanks is logged in JSON only. The other formats show "-" instead.
    const Address* peer = nullptr;
    std::string_view peer_text;
    // The method and the target. If the request was refused because of its head, or before the head
    // was complete, both are empty and are logged as "-" (in JSON as null).
    std::string_view method_token;
    std::string_view target;
    std::uint8_t minor_version = 1;
    int status = 0;
    std::uint64_t bytes = 0;  // of the content that was sent
    std::string_view referer;
    std::string_view user_agent;
    // The time from the request to the end of its response. It is 0 if the response was sent in the
    // turn of the loop that read the request, even if the handler took long, because the loop's
    // time does not change during a turn. Logged in JSON only, to the microsecond.
    Duration time{};
    std::string_view reason;  // why the request was refused; "" if it was not
  };

  // Opens the log. The loop must outlive it. Errors: those of open(2); no_such_device_or_address
  // for a socket; bad_file_descriptor if standard output is closed.
  [[nodiscard]] static Result<std::unique_ptr<AccessLog>> open(Loop& loop, Options options);
  // Checks whether open() would succeed. Creates the file if it doesn't exist.
  [[nodiscard]] static Result<> check(const std::string& path);

  // Writes the collected lines, without waiting.
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Adds a line. Allocates nothing. The line has the local time, at the loop's now(). The wall
  // clock is read at most once a second.
  void add(const Entry& entry) noexcept;

  // Writes as many of the collected lines as possible without waiting.
  void flush() noexcept;

  // Opens the path again after a rotation. Does nothing for standard output. Writes the lines
  // collected so far to the old file, as many as possible without waiting, and the rest to the new
  // one. If the path can't be opened, the old file stays in use. Errors: those of open().
  Result<> reopen();

  // Returns how many lines were lost since the log was opened.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  static constexpr std::size_t kRoom = 64 * 1024;

  // Kind tells how to write without waiting.
  enum class Kind : std::uint8_t {
    file,    // a write never waits for a reader
    own,     // opened here with O_NONBLOCK, which affects no other process
    shared,  // other processes share the flags, so O_NONBLOCK can't be set: poll(2) first
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
  bool torn_ = false;  // only a part of the front line was written
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<char, kRoom> room_;
};

}  // namespace reactor::http
