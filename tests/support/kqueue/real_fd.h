// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

namespace reactor::kqueue_model {

// Calls close(2) of the C library, past the model's own close().
int real_close(int fd) noexcept;

// Owns a descriptor that the model made for itself. The program under test does not know these.
class RealFd {
 public:
  RealFd() noexcept = default;
  explicit RealFd(int fd) noexcept : fd_(fd) {}
  RealFd(RealFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  RealFd& operator=(RealFd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  RealFd(const RealFd&) = delete;
  RealFd& operator=(const RealFd&) = delete;
  ~RealFd() {
    if (fd_ >= 0) real_close(fd_);
  }

  [[nodiscard]] int get() const noexcept { return fd_; }
  [[nodiscard]] int release() noexcept { return std::exchange(fd_, -1); }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

}  // namespace reactor::kqueue_model
