// SPDX-License-Identifier: MIT
// FakeNet: clients that exist in memory only. The system calls of reactor/net/socket.cc end up here
// (see mock_socket.cc), and a script decides the result of each.
//
// The script has one byte for each call. The lowest three bits of the byte say what happens:
//   0 1 2  moves all bytes      5  EAGAIN
//   3      moves one byte       6  EINTR
//   4      moves some bytes     7  a failure, or the end of the stream for recv()
// The other bits choose the number of bytes for 4 and the kind of failure for 7. accept() returns a
// connection for 0 to 3, EAGAIN for 4 and 5, EINTR for 6, a failure for 7. After the end of the
// script every call succeeds.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/unique_fd.h"

namespace reactor::fuzz {

struct FakeClient {
  std::string_view input;  // the bytes that it still has to send
  std::string output;      // the bytes that it got
  int fd = -1;             // the server's end; -1 before accept()
  bool reset = false;      // the script ended the connection, or its input before all was sent
  bool shut = false;       // the server has ended its side
};

// Only one FakeNet exists at a time. The descriptors are real and always ready for reading and
// writing, so that a level-triggered poller calls the server again and again.
class FakeNet {
 public:
  FakeNet(std::string_view script, const std::vector<std::string_view>& inputs);
  ~FakeNet();
  FakeNet(const FakeNet&) = delete;
  FakeNet& operator=(const FakeNet&) = delete;

  static FakeNet& current();

  // These act like the system calls: they return -1 and set errno.
  int accept();
  std::ptrdiff_t receive(int fd, void* buffer, std::size_t size);
  std::ptrdiff_t send(int fd, const void* bytes, std::size_t size);
  int shut(int fd);

  [[nodiscard]] const std::vector<FakeClient>& clients() const { return clients_; }
  // Returns the number of calls that the server has made.
  [[nodiscard]] std::size_t calls() const { return calls_; }
  [[nodiscard]] bool all_accepted() const { return accepted_ == clients_.size(); }

 private:
  unsigned next();
  FakeClient& client_of(int fd);

  std::string_view script_;
  std::size_t at_ = 0;
  std::size_t calls_ = 0;
  std::size_t accepted_ = 0;
  std::vector<FakeClient> clients_;
};

}  // namespace reactor::fuzz
