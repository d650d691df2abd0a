// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <string>
#include <system_error>
#include <utility>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// A file that holds the pid of the running master, and a lock on it for as long as that runs: the
// lock and not the pid says whether one does, so a file that a crash left behind harms nobody
// (fcntl(2), "Open file description locks"; where there are none, the lock is the process's).
// Not for threads.
class PidFile {
 public:
  PidFile() = default;
  PidFile(PidFile&& other) noexcept = default;
  PidFile& operator=(PidFile&& other) = delete;
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  // Removes the file where it is still ours, or empties it where that is denied. Does nothing in a
  // process that was forked from its owner.
  ~PidFile();

  // Makes the file, or takes over one that nobody holds, locks it and writes this process's pid and
  // a line feed. Symbolic links are not followed, and what holds anything but a pid is left alone.
  // Errors: device_or_resource_busy where a running process holds it, whose pid holder() tells;
  // file_exists for what is no pid file; those of open(2).
  [[nodiscard]] static Result<PidFile> take(const std::string& path);

  // Whether take() could succeed, as far as permissions go; makes and locks nothing.
  [[nodiscard]] static std::error_code check(const std::string& path);

  // Who holds the file: 0 for nobody, also where there is no file; -1 for one that has not yet
  // written its pid. Errors: those of open(2).
  [[nodiscard]] static Result<pid_t> holder(const std::string& path);

  // For a successor that is executed by the owner: a descriptor that holds the lock, to be left
  // open for it; -1 for none.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // In the successor: the file that is left open under `fd`, which it owns from then on. The file
  // is the predecessor's until claim(): it is neither written nor removed.
  // Errors: bad_file_descriptor, and no_such_file_or_directory where it is not the file at `path`.
  [[nodiscard]] static Result<PidFile> adopt(const std::string& path, int fd);
  // The successor serves: the file is this process's, and holds its pid. The predecessor may do the
  // same to have it back. Errors: as take().
  [[nodiscard]] std::error_code claim();
  // In the predecessor, once the successor serves: closes it and removes nothing.
  void hand_over() noexcept { fd_.reset(); }

  // In a forked child: closes it, so that the lock ends with the parent. Nothing in the parent.
  void abandon_in_child() noexcept;

 private:
  PidFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
  pid_t owner_ = 0;  // whose it is to remove
};

}  // namespace reactor::prefork
