// SPDX-License-Identifier: MIT
#pragma once

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "reactor/http/access_log.h"
#include "tests/support/loop_test.h"
#include "tests/support/temporary_folder.h"

namespace reactor::http {

// A folder for one log file, and a request to log.
class AccessTest : public LoopTest {
 protected:
  AccessTest() { address_ = get(Address::parse("192.0.2.7:51234")); }
  ~AccessTest() override { EXPECT_LE(folder_.files(), 2U) << "the log and its predecessor"; }

  [[nodiscard]] std::unique_ptr<AccessLog> open(AccessLog::Format format,
                                                Duration batch_time = std::chrono::hours(1)) {
    return get(AccessLog::open(loop_, {.path = path_, .format = format, .batch_time = batch_time}));
  }
  [[nodiscard]] AccessLog::Entry entry() const {
    AccessLog::Entry entry;
    entry.peer = &address_;
    entry.method_token = "GET";
    entry.target = "/a?b=c";
    entry.status = 200;
    entry.bytes = 2326;
    entry.referer = "http://example.com/";
    entry.user_agent = "curl/8.0";
    entry.time = std::chrono::microseconds(1'000'123);
    return entry;
  }
  // Writes `entry` to a new log, and returns the line without its newline.
  [[nodiscard]] std::string line_of(AccessLog::Format format, const AccessLog::Entry& entry) {
    ::unlink(path_.c_str());
    open(format)->add(entry);
    std::string line = content(path_);
    EXPECT_EQ(std::count(line.begin(), line.end(), '\n'), 1) << line;
    EXPECT_EQ(line.back(), '\n');
    line.pop_back();
    return line;
  }
  [[nodiscard]] UniqueFd make_fifo() const {
    EXPECT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    UniqueFd reader(::open(path_.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
    EXPECT_TRUE(static_cast<bool>(reader));
    return reader;
  }
  [[nodiscard]] static std::string content(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  [[nodiscard]] static std::size_t lines_in(std::string_view text) {
    return static_cast<std::size_t>(std::count(text.begin(), text.end(), '\n'));
  }

  Loop loop_{options()};
  Address address_;
  const TemporaryFolder folder_;
  const std::string path_ = folder_.file("log");
};

}  // namespace reactor::http
