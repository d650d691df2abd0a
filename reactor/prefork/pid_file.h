// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <system_error>
#include <utility>

#include "reactor/base/result.h"
#include "reactor/base/unique_fd.h"

namespace reactor::prefork {

// A file that holds the pid of the running master, and locks on it for as long as the master runs.
// The locks, not the number in the file, say whether a master runs and which process it is: a file
// that a crash left behind blocks nobody, and a number of another pid namespace misleads nobody.
//
//   byte 0        the guard: a lock of the open file (fcntl(2), "Open file description locks"), so
//                 that a successor shares it. Whoever has it holds the pid file.
//   byte 1 + pid  the name: a lock of the process, which the kernel tells by its pid in the pid
//                 namespace of whoever asks (F_GETLK). A byte for each process, as a successor
//                 takes its name while its predecessor still has one.
//
// The kernel drops the name when the process closes any descriptor of the file, so a process that
// holds a pid file must not open it a second time: no holder() and no check() there.
// Systems without locks of open files use the process's for both. Not for threads.
class PidFile {
 public:
  PidFile() = default;
  PidFile(PidFile&& other) noexcept = default;
  PidFile& operator=(PidFile&& other) = delete;
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  // Removes the file if it is still ours, or empties it if that is denied and the descriptor can
  // still write. Does nothing in a process that was forked from its owner.
  ~PidFile();

  // Makes the file, or takes over one that nobody holds, locks it and writes this process's pid and
  // a line feed. Symbolic links are not followed, and a file that holds anything but a pid is left
  // alone. Removes the file again if the pid can't be written.
  // Errors: device_or_resource_busy if another process holds it, see holder(); file_exists for what
  // is no pid file; those of open(2) and write(2).
  [[nodiscard]] static Result<PidFile> take(const std::string& path);

  // Whether take() could succeed, as far as permissions go; makes and locks nothing.
  [[nodiscard]] static std::error_code check(const std::string& path);

  // Who holds a pid file.
  struct Holder {
    enum class Kind : std::uint8_t {
      nobody,    // also if there is no file
      starting,  // a process that has not told its name yet
      unnamed,   // a process without a pid here: it runs in another pid namespace
      process    // `pid`, in the caller's pid namespace
    };
    Kind kind = Kind::nobody;
    pid_t pid = 0;
  };
  // Believes a lock that only a process with the right to write the file can have. A holder that
  // gave up writing has a weaker one; its pid must be the one in the file as well.
  // Errors: those of open(2).
  [[nodiscard]] static Result<Holder> holder(const std::string& path);

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
  // Goes on to hold the file by a descriptor that can't write to it: for a process that is about to
  // give up its rights and must not be able to change the file of those who had them. Nothing to do
  // before claim(). Afterwards claim() does nothing. Errors: those of open(2) and fcntl(2).
  [[nodiscard]] std::error_code give_up_writing();
  // In the predecessor, once the successor serves: closes it and removes nothing.
  void hand_over() noexcept { fd_.reset(); }

  // In a forked child: closes it, so that the lock ends with the parent. Nothing in the parent.
  void abandon_in_child() noexcept;

 private:
  PidFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
  pid_t owner_ = 0;  // whose it is to remove
  bool writable_ = true;
};

}  // namespace reactor::prefork
