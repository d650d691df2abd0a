// SPDX-License-Identifier: MIT
// FakeNet: clients that exist in memory only. The calls behind reactor/net/socket.cc end up here
// (mock_socket.cc), and a script says how each of them goes.
//
// One octet of the script for each call, its lowest three bits say what happens:
//   0 1 2  all of it           5  EAGAIN     7  a failure, or for recv() the end of the stream:
//   3      one octet           6  EINTR         which one say the other bits
//   4      some octets, as the other bits say
// For accept: 0 to 3 a connection, 4 5 EAGAIN, 6 EINTR, 7 a failure. Behind the script's end all
// goes well.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/base/unique_fd.h"

namespace reactor::fuzz {

struct FakeClient {
  std::string_view input;  // what it sends
  std::string output;      // what it got
  int fd = -1;             // the server's end; -1 before it was accepted
  bool reset = false;      // the script ended the connection, or its input too early
  bool shut = false;       // the server sends no more
};

// One at a time. `fd`s are real and always ready for reading and writing, so that a poller that
// works by level calls again and again.
class FakeNet {
 public:
  FakeNet(std::string_view script, const std::vector<std::string_view>& inputs);
  ~FakeNet();
  FakeNet(const FakeNet&) = delete;
  FakeNet& operator=(const FakeNet&) = delete;

  static FakeNet& current();

  // As the system's calls: -1 and errno.
  int accept();
  std::ptrdiff_t receive(int fd, void* buffer, std::size_t size);
  std::ptrdiff_t send(int fd, const void* bytes, std::size_t size);
  int shut(int fd);

  [[nodiscard]] const std::vector<FakeClient>& clients() const { return clients_; }
  // How often the server called.
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
