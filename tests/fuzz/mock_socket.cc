// SPDX-License-Identifier: MIT
// Replaces the system calls by which reactor/net/socket.cc moves connections and bytes, in a
// program whose clients are those of FakeNet. The linker finds these functions before the C
// library's.
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
