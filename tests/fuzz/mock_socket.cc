// SPDX-License-Identifier: MIT
// The system's calls behind reactor/net/socket.cc that move connections and octets, for a program
// whose clients are FakeNet's. They are found before the C library's.
#include <sys/socket.h>
#include <sys/types.h>

#include "tests/fuzz/fake_net.h"

using reactor::fuzz::FakeNet;

extern "C" {

int accept4(int, sockaddr*, socklen_t*, int) { return FakeNet::current().accept(); }

ssize_t recv(int fd, void* buffer, size_t size, int) {
  return FakeNet::current().receive(fd, buffer, size);
}

ssize_t send(int fd, const void* bytes, size_t size, int) {
  return FakeNet::current().send(fd, bytes, size);
}

int shutdown(int fd, int) noexcept { return FakeNet::current().shut(fd); }

}  // extern "C"
