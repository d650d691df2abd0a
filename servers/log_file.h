// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"
#include "reactor/prefork/identity.h"

namespace servers {

// Where root starts workers as another user, `owner`: makes the file if there is none, and gives it
// to those who shall open it again. Only an empty one of root's without other links is given away,
// so that a link that somebody puts there gets him nothing. Does nothing for "-" and for what is no
// regular file. Errors: those of open(2) and fchown(2).
[[nodiscard]] reactor::Result<> give_log_file(
    const std::string& path, const std::optional<reactor::prefork::Identity>& owner);

// What an error of give_log_file() or of a LogFile means.
[[nodiscard]] std::string why_not_opened(std::error_code error);

// The file that --log names, for one write(2) per line. Nothing here waits for whoever reads a pipe
// or FIFO, unless "-" is one that can't be opened anew (see reactor::write_line()). A file is
// opened anew under the same descriptor, so that nothing that holds the number has to be told.
class LogFile {
 public:
  // Who opens it again: the workers, as `owner`.
  LogFile(std::string path, std::optional<reactor::prefork::Identity> owner)
      : path_(std::move(path)), owner_(std::move(owner)) {}

  // Errors: those of open(2); see why_not_opened().
  [[nodiscard]] reactor::Result<> open();
  // Where lines go: the file, or standard error for "-".
  [[nodiscard]] int fd() const noexcept;
  [[nodiscard]] bool is_file() const noexcept { return path_ != "-"; }
  // After a rotation. If it fails, the old file stays, which is logged.
  void reopen();
  // In a process that was forked: what it does to its descriptor (O_NONBLOCK, O_APPEND) is not felt
  // by its parent from here on, if the file could be opened twice.
  void part_from_parent() noexcept;

 private:
  [[nodiscard]] reactor::Result<reactor::UniqueFd> open_file() const;

  std::string path_;
  std::optional<reactor::prefork::Identity> owner_;
  reactor::UniqueFd file_;
  reactor::UniqueFd for_children_;  // the same file, opened once more
};

}  // namespace servers
