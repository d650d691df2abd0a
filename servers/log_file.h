// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/prefork/identity.h"

namespace servers {

// If root runs this, gives the file to the workers' user, `owner`, because the workers have to open
// it again. Creates the file if it doesn't exist. Gives away only an empty file that root owns and
// that has no other links, so that an attacker gains nothing by placing a link there. Does nothing
// for "-" and for anything but a regular file. Errors: those of open(2) and fchown(2).
[[nodiscard]] reactor::Result<> give_log_file(
    const std::string& path, const std::optional<reactor::prefork::Identity>& owner);

// Returns the meaning of an error of give_log_file() or of a LogFile.
[[nodiscard]] std::string why_not_opened(std::error_code error);

// LogFile is the file that --log names. Each line is one write(2). No call waits for the reader of
// a pipe or FIFO, with one exception: with "-", a call can wait if standard error is a pipe that
// this process can't open again. Setting O_NONBLOCK there would affect other processes (see
// reactor::write_line()). After a rotation the new file has the old descriptor number, so code that
// kept the number writes to the new file.
class LogFile {
 public:
  // `owner` is the user of the workers, who open the file again.
  LogFile(std::string path, std::optional<reactor::prefork::Identity> owner)
      : path_(std::move(path)), owner_(std::move(owner)) {}

  // Errors: those of open(2); see why_not_opened().
  [[nodiscard]] reactor::Result<> open();
  // Returns the descriptor for lines: the file, or standard error for "-".
  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] bool is_file() const noexcept { return path_ != "-"; }
  // Opens the file again after a rotation. If that fails, logs an error and keeps the old file.
  void reopen();
  // Call this in a forked process. Puts the second open file, which open() made for children, in
  // place of the one that is shared with the parent. The process may then change the flags
  // (O_NONBLOCK, O_APPEND) without affecting the parent. Does nothing if there is no second one.
  void part_from_parent() noexcept;

 private:
  struct Opened {
    reactor::UniqueFd file, for_children;
  };

  [[nodiscard]] reactor::Result<Opened> open_all(bool for_children_too) const;
  [[nodiscard]] reactor::Result<reactor::UniqueFd> open_file() const;

  std::string path_;
  std::optional<reactor::prefork::Identity> owner_;
  reactor::UniqueFd file_;
  reactor::UniqueFd for_children_;  // the same file, opened a second time
};

}  // namespace servers
