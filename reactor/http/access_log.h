// SPDX-License-Identifier: MIT
// AccessLog: one line for each request that was answered.
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

// Collects lines and writes them in batches, each with one write(2): when 16 KiB are there, or
// after Options::batch_time. Never waits for whoever reads them: what finds no room is kept, up to
// 64 KiB, and then lost, counted, and told of in the log of the program. A line is written whole or
// not at all where the system can do that: several processes may write to one file, or to one pipe.
//
// Whatever comes from a peer is escaped, so that nobody can forge a line: control octets, quotes,
// backslashes and all that is not ASCII become \xHH, in JSON \u00HH. A line has at most 4,096
// octets (a pipe takes that many in one piece); longer texts are cut and end in "...".
//
// A request that was refused for a rule of HTTP, a limit or a time, or whose handler failed, has
// the reason at the end of its line: in JSON the last member, else one field more than others have,
// in quotes.
//
// Belongs to its loop's thread and process, so a worker opens its own. In a forked child it drops
// the parent's lines, and does not write them again.
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
    // A file, which is appended to and made (0644) where there is none; a FIFO; a device. "-" is
    // standard output, whose file status flags are left as they are, as others have it too.
    std::string path = "-";
    Format format = Format::combined;
    // The longest that a line waits for its batch.
    Duration batch_time = std::chrono::seconds(1);
  };

  // A request and its answer; the views need to last for the call of add() only.
  struct Entry {
    // Who asked: the host of `peer`, or `peer_text` where that is not empty. A text with blanks in
    // it is logged in JSON only, as "-" else.
    const Address* peer = nullptr;
    std::string_view peer_text;
    // Both empty if the request was refused for its head, or before that was whole: logged as "-",
    // in JSON null.
    std::string_view method_token;
    std::string_view target;
    std::uint8_t minor_version = 1;
    int status = 0;
    std::uint64_t octets = 0;  // of content that was sent
    std::string_view referer;
    std::string_view user_agent;
    // To the answer; 0 if that was given in the turn of the loop that read the request, however
    // long the handler took. JSON only, in microseconds.
    Duration time{};
    std::string_view reason;  // why the request was refused; "" if it was not
  };

  // Errors: those of open(2); no_such_device_or_address for a socket; bad_file_descriptor where
  // standard output is closed. The loop outlives the log.
  [[nodiscard]] static Result<std::unique_ptr<AccessLog>> open(Loop& loop, Options options);
  // Whether open() would find a place to write to; makes the file where there is none.
  [[nodiscard]] static Result<> check(const std::string& path);

  // Writes what is left, without waiting.
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  // Nothing is allocated. The time in the line is the loop's now() by the wall clock, which is read
  // once a second, in local time.
  void add(const Entry& entry) noexcept;

  // Writes what is there now, as far as it goes without waiting.
  void flush() noexcept;

  // Opens the path anew after a rotation; lines that were collected go to the old file. Where that
  // fails the old file stays in use. Errors: as open(). Nothing to do for standard output.
  Result<> reopen();

  // Lines that could not be written, since the start.
  [[nodiscard]] std::uint64_t lost() const noexcept { return lost_; }

 private:
  static constexpr std::size_t kRoom = 64 * 1024;

  // How to write without waiting.
  enum class Kind : std::uint8_t {
    file,    // never waits as a socket does
    own,     // O_NONBLOCK, which nobody else sees
    shared,  // poll(2) first
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
  TimePoint stamp_until_ = TimePoint::min();
  std::array<char, 32> stamp_{};
  std::size_t stamp_size_ = 0;
  std::uint64_t lost_ = 0;
  std::uint64_t told_ = 0;  // of them
  TimePoint tell_at_ = TimePoint::min();
  int error_ = 0;   // errno of the last write, 0 where it went well
  int reason_ = 0;  // of the last that failed
  std::uint32_t process_;
  bool torn_ = false;  // the front of what is pending is the rest of a line
  std::size_t begin_ = 0;
  std::size_t end_ = 0;
  std::array<char, kRoom> room_;
};

}  // namespace reactor::http
