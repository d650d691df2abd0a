// SPDX-License-Identifier: MIT
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <map>
#include <string>
#include <thread>

#include "tests/support/libkqueue.h"

namespace reactor {

// Fails the test if the set of open descriptors has changed by the end of the test. A fixture has
// it as the first member of its base, so that the check runs after everything else is destroyed.
class FdGuard {
 public:
  FdGuard() {
    if (libkqueue_drain_pending_close != nullptr) libkqueue_drain_pending_close();
    before_ = open_descriptors();
  }
  FdGuard(const FdGuard&) = delete;
  FdGuard& operator=(const FdGuard&) = delete;
  ~FdGuard() { EXPECT_EQ(settled_descriptors(), before_) << "descriptors were leaked or lost"; }

  // Maps each open descriptor to its target, which is empty if the system does not tell it.
  [[nodiscard]] static std::map<int, std::string> open_descriptors() {
    std::map<int, std::string> result;
    DIR* const directory = ::opendir("/dev/fd");
    if (directory == nullptr) return result;
    while (const dirent* const entry = ::readdir(directory)) {
      if (entry->d_name[0] == '.') continue;
      const int number = std::atoi(entry->d_name);
      if (number != ::dirfd(directory)) result[number] = target(entry->d_name);
    }
    ::closedir(directory);
    return result;
  }

 private:
  static std::string target(const char* name) {
    std::array<char, 256> text{};
    const std::string path = std::string("/dev/fd/") + name;
    const auto length = ::readlink(path.c_str(), text.data(), text.size());
    return {text.data(), length > 0 ? static_cast<std::size_t>(length) : 0};
  }

  // libkqueue closes the helper descriptors of a closed queue a little later, in a thread of its
  // own. This function waits until they are closed. A descriptor that the test leaked stays open
  // however long the function waits.
  [[nodiscard]] std::map<int, std::string> settled_descriptors() const {
    auto result = open_descriptors();
    for (int wait = 0; kOnLibkqueue && result != before_ && wait < 2000; ++wait) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      result = open_descriptors();
    }
    return result;
  }

  std::map<int, std::string> before_;
};

}  // namespace reactor
