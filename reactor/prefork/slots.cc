// SPDX-License-Identifier: MIT
#include "reactor/prefork/slots.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace reactor::prefork {
namespace {

#if defined(__linux__) || defined(SO_REUSEPORT_LB)
constexpr bool kKernelBalances = true;
#else
constexpr bool kKernelBalances = false;  // plain SO_REUSEPORT gives all to one socket there
#endif

// The first socket of a group that the kernel balances. With SO_REUSEPORT from the start a second
// server of the same user could bind beside us and take a part of the connections. Listening
// without it is for one server only, and lets the rest of the group in afterwards.
#if defined(__linux__)
Result<Socket> claim(const Address& address, ListenOptions listen) {
  listen.reuse_port = false;
  Result<Socket> first = Socket::listen(address, listen);
  const int on = 1;
  if (first && ::setsockopt(first->fd(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0) {
    return last_system_error();
  }
  return first;
}
#else
// There a group is joined by bind(2) alone: the address is tried before, which two servers that
// start at the same moment may both do.
Result<Socket> claim(const Address& address, const ListenOptions& listen) {
  if (address.port() != 0) {
    ListenOptions alone = listen;
    alone.reuse_port = false;
    if (Result<Socket> probe = Socket::listen(address, alone); !probe) return probe.error();
  }
  return Socket::listen(address, listen);
}
#endif

}  // namespace

Slots::~Slots() {
  for (const File& file : files_) {
    struct stat status {};
    if (::stat(file.path.c_str(), &status) != 0) continue;
    if (status.st_dev == file.device && status.st_ino == file.inode) ::unlink(file.path.c_str());
  }
}

bool Slots::open(const Options& options, Failure& failure) {
  for (const Address& address : options.addresses) {
    if (const std::error_code error = open_group(address, options)) {
      failure = {address, error};
      return false;
    }
  }
  return true;
}

std::error_code Slots::open_group(const Address& address, const Options& options) {
  const bool balanced =
      options.reuse_port && kKernelBalances && !address.is_unix() && options.workers > 0;
  ListenOptions listen = options.listen;
  listen.reuse_port = balanced;
  listen_ = options.listen;
  slots_ = std::max(options.workers, 1U);
  Group group{.balanced = balanced, .sockets = {}};
  Address bound = address;
  for (unsigned slot = 0; slot < (balanced ? options.workers : 1); ++slot) {
    Result<Socket> socket =
        balanced && slot == 0 ? claim(bound, listen) : Socket::listen(bound, listen);
    if (!socket) return socket.error();
    if (slot == 0) {
      Result<Address> local = socket->local();
      if (!local) return local.error();
      bound = *local;  // the port that 0 became
    }
    group.sockets.push_back(std::move(*socket));
  }
  remember_file(bound);
  bound_.push_back(bound);
  listeners_.push_back(std::move(group));
  return {};
}

void Slots::remember_file(const Address& address) {
  struct stat status {};
  std::string path(address.path());
  if (path.empty() || ::stat(path.c_str(), &status) != 0) return;
  files_.push_back({std::move(path), status.st_dev, status.st_ino});
}

std::error_code Slots::grow() {
  ListenOptions listen = listen_;
  listen.reuse_port = true;
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    Group& group = listeners_[i];
    if (!group.balanced || group.sockets.size() > slots_) continue;
    Result<Socket> socket = Socket::listen(bound_[i], listen);
    if (!socket) return socket.error();
    group.sockets.push_back(std::move(*socket));
  }
  ++slots_;
  return {};
}

void Slots::learn(unsigned slot, unsigned group, Socket listener) {
  if (group >= listeners_.size() || !listeners_[group].balanced) return;
  std::vector<Socket>& sockets = listeners_[group].sockets;
  if (slot >= sockets.size()) sockets.resize(slot + 1);
  sockets[slot] = std::move(listener);
}

int Slots::listener(unsigned slot, unsigned group) const noexcept {
  if (group >= listeners_.size() || !listeners_[group].balanced) return -1;
  const std::vector<Socket>& sockets = listeners_[group].sockets;
  return slot < sockets.size() ? sockets[slot].fd() : -1;
}

void Slots::refuse_new() noexcept {
  for (std::size_t i = 0; i < listeners_.size(); ++i) {
    if (bound_[i].is_unix()) continue;
    for (const Socket& socket : listeners_[i].sockets) {
      static_cast<void>(Socket::refuse_new(socket.fd()));
    }
  }
}

Result<std::vector<Socket>> Slots::sockets_of(unsigned slot) const {
  std::vector<Socket> sockets;
  for (const Group& group : listeners_) {
    const Socket& own = group.sockets[group.balanced ? slot : 0];
    UniqueFd copy(::fcntl(own.fd(), F_DUPFD_CLOEXEC, 0));
    if (!copy) return last_system_error();
    sockets.emplace_back(std::move(copy));
  }
  return sockets;
}

}  // namespace reactor::prefork
