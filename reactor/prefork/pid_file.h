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

// PidFile is a file that holds the pid of the running master. The master holds locks on the file
// for as long as it runs. The locks, not the number in the file, say whether a master runs and
// which process it is: a file that a crash left behind blocks no start, and a number from another
// pid namespace misleads no reader.
//
//   byte 0        the guard: a lock of the open file (fcntl(2), "Open file description locks"), so
//                 that the new program of an upgrade shares it. A process that has the guard holds
//                 the pid file.
//   byte 1 + pid  the name: a lock of the process. F_GETLK reports the pid of that process in the
//                 pid namespace of the caller. Each process has its own byte, because in an upgrade
//                 the new program takes its name lock while the old program still has one.
//
// The kernel drops the name lock when the process closes any descriptor of the file. A process that
// holds a pid file must therefore not open it a second time: it must not call holder() or check().
// On systems without open file description locks, the guard is a lock of the process, too. Not
// thread-safe.
class PidFile {
 public:
  PidFile() = default;
  PidFile(PidFile&& other) noexcept = default;
  PidFile& operator=(PidFile&& other) = delete;
  PidFile(const PidFile&) = delete;
  PidFile& operator=(const PidFile&) = delete;
  // Calls remove().
  ~PidFile() { remove(); }

  // Creates the file, or takes over an existing one that no process holds. Locks it, and writes
  // this process's pid and a line feed. Symbolic links are not followed, and a file that holds
  // anything but a pid is left alone. Removes the file again if the pid can't be written.
  // Errors: device_or_resource_busy if another process holds the file, see holder(); file_exists if
  // the file is not a pid file; those of open(2) and write(2).
  [[nodiscard]] static Result<PidFile> take(const std::string& path);

  // Returns the error that take() would return because of permissions or of the file's content.
  // Creates and locks nothing.
  [[nodiscard]] static std::error_code check(const std::string& path);

  // The process that holds a pid file.
  struct Holder {
    enum class Kind : std::uint8_t {
      nobody,    // nobody holds it, or there is no file
      starting,  // a process that has not set its name lock yet
      unnamed,   // a process that has no pid here, because it runs in another pid namespace
      process    // the process `pid`, in the caller's pid namespace
    };
    Kind kind = Kind::nobody;
    pid_t pid = 0;
  };
  // Returns the process that holds the file. Trusts an exclusive name lock, because only a process
  // with the right to write the file can set such a lock. A holder that called give_up_writing()
  // has only a shared lock. A shared lock counts only if the file holds the pid of the lock's
  // owner. Errors: those of open(2).
  [[nodiscard]] static Result<Holder> holder(const std::string& path);

  // Removes the file if it still belongs to this process, and closes it. If removal is denied and
  // the descriptor can still write, empties the file. Does nothing before claim(), and in a process
  // that was forked from its owner.
  void remove() noexcept;

  // Whether `path` names this file; false if there is none.
  [[nodiscard]] bool is_at(const std::string& path) const;

  // Returns the descriptor that holds the guard; -1 if there is none. The owner leaves it open when
  // it executes the new program of an upgrade.
  [[nodiscard]] int fd() const noexcept { return fd_.get(); }
  // Called in the new program of an upgrade: makes a PidFile of the file that was left open under
  // `fd`. Takes over the descriptor, and closes it after an error. Until claim() the file belongs
  // to the old program, and this process neither writes nor removes it. Errors:
  // bad_file_descriptor; no_such_file_or_directory if `fd` is not the file at `path`.
  [[nodiscard]] static Result<PidFile> adopt(const std::string& path, int fd);
  // Called in the new program when it serves. From now on the file belongs to this process, and
  // holds its pid. The old program may call this to take the file back. Errors: those of take().
  [[nodiscard]] std::error_code claim();
  // Keeps holding the file, but by a descriptor that can't write to it. Call this before the
  // process gives up its rights: without those rights it must not be able to change a file of its
  // former user. Does nothing before claim(). After it has succeeded, claim() does nothing. Errors:
  // those of open(2) and fcntl(2).
  [[nodiscard]] std::error_code give_up_writing();
  // Called in the old program when the new one serves: closes the file and removes nothing.
  void hand_over() noexcept { fd_.reset(); }

  // Called in a forked child: closes the file, so that the guard does not outlive the parent. Does
  // nothing in the parent.
  void abandon_in_child() noexcept;

 private:
  PidFile(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  std::string path_;
  UniqueFd fd_;
  pid_t owner_ = 0;  // the process that removes the file
  bool writable_ = true;
};

}  // namespace reactor::prefork
