// SPDX-License-Identifier: MIT
// ListenerTable: opens the sockets of all addresses, and knows which socket belongs to which slot.
// A group of sockets is balanced if the kernel spreads connections over one socket per slot; else
// all slots share the group's only socket. A group is lent while another program owns its sockets:
// an earlier program before take_possession(), and a later one after give_up_possession(). This
// program uses lent sockets but does not change them.
#include "reactor/prefork/internal/listener_table.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/net/datagram/datagram.h"
#include "reactor/net/datagram/internal/datagram_socket.h"
#include "reactor/net/internal/socket_options.h"
#include "reactor/prefork/internal/system/port_sharing.h"
#include "reactor/prefork/internal/system/steering.h"
#include "reactor/prefork/internal/system/systemd_sockets.h"

namespace reactor::prefork {
namespace {

bool is_for_datagrams(int fd) {
  int type = 0;
  socklen_t length = sizeof(type);
  return ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_DGRAM;
}

Endpoint::Kind kind_of(bool datagrams) {
  return datagrams ? Endpoint::Kind::datagram : Endpoint::Kind::stream;
}

bool add_copy(std::vector<Socket>& sockets, const Socket& socket) {
  UniqueFd copy(::fcntl(socket.fd(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return false;
  sockets.emplace_back(std::move(copy));
  return true;
}

bool is_spread(const Address& address, const Options& options) {
  return options.reuse_port && kKernelBalances && !address.is_unix() && options.workers > 0;
}

}  // namespace

ListenerTable::~ListenerTable() { let_in_again(); }

bool ListenerTable::open(const Options& options, Inheritance& earlier, Failure& failure) {
  listen_ = options.listen;
  slots_ = std::max(options.workers, 1U);
  const bool all =
      std::all_of(options.addresses.begin(), options.addresses.end(),
                  [&](const Bind& bind) { return open(bind, options, earlier, failure); });
  earlier.close_rest();
  if (!all) return false;
  failure.error = even_out();
  return !failure.error;
}

bool ListenerTable::open(const Bind& bind, const Options& options, Inheritance& earlier,
                         Failure& failure) {
  failure.bind = bind;
  const std::size_t before = listeners_.size();
  std::vector<ListenerGroup> groups = earlier.take_groups(to_string(bind));
  if (groups.empty()) {
    open(bind, options, failure);
  } else {
    for (ListenerGroup& group : groups) {
      const bool ours = std::holds_alternative<Endpoint>(bind);
      if (!failure.error) failure.error = take_earlier(std::move(group), ours);
    }
  }
  for (std::size_t i = before; i < listeners_.size(); ++i) {
    listeners_[i].key = to_string(bind);
    listeners_[i].inherited = !std::holds_alternative<Endpoint>(bind);
  }
  return !failure.error;
}

void ListenerTable::open(const Bind& bind, const Options& options, Failure& failure) {
  if (const auto* endpoint = std::get_if<Endpoint>(&bind)) {
    failure.error = endpoint->kind == Endpoint::Kind::stream
                        ? open_group(endpoint->address, options)
                        : open_datagrams(endpoint->address, options);
    return;
  }
  if (const auto* inherited = std::get_if<InheritedSocket>(&bind)) {
    failure.error = adopt_group(inherited->fd, options);
    return;
  }
  const std::vector<int> passed = take_systemd_sockets();
  if (passed.empty()) failure.error = Errc::no_sockets;
  for (const int fd : passed) {
    failure = {InheritedSocket{fd}, adopt_group(fd, options)};  // names the socket that fails
    if (failure.error) return;
  }
}

std::error_code ListenerTable::take_earlier(ListenerGroup&& earlier, bool ours) {
  Group group{.bound = {}, .key = {}, .balanced = earlier.balanced, .lent = true, .sockets = {}};
  for (const int fd : earlier.descriptors) group.sockets.emplace_back(UniqueFd(fd));
  const Result<Address> local = group.sockets.front().local();
  if (!local) return local.error();
  if (ours) group.file = &file_for(*local);
  group.bound = {*local, kind_of(is_for_datagrams(group.sockets.front().fd()))};
  listeners_.push_back(std::move(group));
  return {};
}

// Gives all balanced groups the same number of sockets, one per slot.
std::error_code ListenerTable::even_out() {
  for (const Group& group : listeners_) {
    if (group.balanced) slots_ = std::max(slots_, static_cast<unsigned>(group.sockets.size()));
  }
  return grow(slots_);
}

std::vector<Endpoint> ListenerTable::addresses() const {
  std::vector<Endpoint> bound;
  for (const Group& group : listeners_) bound.push_back(group.bound);
  return bound;
}

std::vector<ListenerGroup> ListenerTable::describe() const {
  std::vector<ListenerGroup> groups;
  for (const Group& group : listeners_) {
    ListenerGroup described{.key = group.key, .balanced = group.balanced, .descriptors = {}};
    for (const Socket& socket : group.sockets) described.descriptors.push_back(socket.fd());
    // The later program assumes that these descriptors are in the kernel's order or, in an
    // inherited group, that the inherited socket is the first.
    const std::vector<std::size_t> order = group.kernel_order();
    for (std::size_t i = 0; i < order.size() && !group.inherited; ++i) {
      described.descriptors[i] = group.sockets[order[i]].fd();
    }
    groups.push_back(std::move(described));
  }
  return groups;
}

// Called before the address is bound, because it may allocate. Afterwards SocketFile::take() can't
// fail.
SocketFile& ListenerTable::file_for(const Address& address) { return files_[address.to_string()]; }

std::error_code ListenerTable::open_group(const Address& address, const Options& options) {
  const bool balanced = is_spread(address, options);
  ListenOptions listen = options.listen;
  listen.reuse_port = balanced;
  Group group{.bound = {address}, .key = {}, .balanced = balanced, .sockets = {}};
  group.file = &file_for(address);
  Address& bound = group.bound.address;
  for (unsigned slot = 0; slot < (balanced ? options.workers : 1); ++slot) {
    Result<Socket> socket =
        balanced && slot == 0 ? claim(bound, listen) : Socket::listen(bound, listen);
    if (!socket) return socket.error();
    group.file->take(bound);
    if (slot == 0) {
      Result<Address> local = socket->local();
      if (!local) return local.error();
      bound = *local;  // with the real port, if it was 0
    }
    group.sockets.push_back(std::move(*socket));
  }
  listeners_.push_back(std::move(group));
  return {};
}

std::error_code ListenerTable::open_datagrams(const Address& address, const Options& options) {
  DatagramOptions datagrams;
  datagrams.v6_only = options.listen.v6_only;
  datagrams.unix_mode = options.listen.unix_mode;
  SocketFile& file = file_for(address);
  Result<Socket> socket = open_datagram_socket(address, {}, datagrams);
  if (!socket) return socket.error();
  file.take(address);
  return add_datagrams(std::move(*socket));
}

std::error_code ListenerTable::add_datagrams(Socket socket) {
  const Result<Address> local = socket.local();
  if (!local) return local.error();
  if (local->is_unix() ? local->to_string() == Address::kUnixPrefix : local->port() == 0)
    return Errc::not_bound;
  listeners_.push_back({.bound = {*local, Endpoint::Kind::datagram}, .key = {}, .sockets = {}});
  listeners_.back().sockets.push_back(std::move(socket));
  return {};
}

// Leaves the file of an inherited unix socket alone, because it belongs to the process that bound
// the socket.
std::error_code ListenerTable::adopt_group(int fd, const Options& options) {
  for (const Group& group : listeners_) {
    for (const Socket& socket : group.sockets) {
      if (socket.fd() == fd) return std::make_error_code(std::errc::address_in_use);
    }
  }
  if (options.datagrams && is_for_datagrams(fd)) {
    if (const Result<> adopted = adopt_datagram_socket(fd); !adopted) return adopted.error();
    return add_datagrams(Socket(UniqueFd(fd)));
  }
  Result<Socket> socket = Socket::adopt_listening(fd, options.listen);
  if (!socket) return socket.error();
  const Result<Address> local = socket->local();
  if (!local) return local.error();
  Socket::accept_new(fd);  // an earlier server may have been killed amid its drain
  Group group{.bound = {*local}, .key = {}, .sockets = {}};
  group.sockets.push_back(std::move(*socket));
  if (is_spread(*local, options)) {
    const bool before = Socket::is_balanced(fd);
    group.balanced = spread(group.sockets.front(), *local, options_for(group));
    group.spread = group.balanced && !before;  // even_out() adds the sockets
  }
  listeners_.push_back(std::move(group));
  return {};
}

// A socket that listens gets its part of the connections, even if no worker has it. So no new
// socket listens before all new ones are bound, and all new ones are closed after a failure. In a
// lent group a new socket must not listen yet: it would get a part of the other program's
// connections.
std::error_code ListenerTable::grow(unsigned count) {
  std::vector<std::pair<Group*, Socket>> added;
  for (Group& group : listeners_) {
    if (!group.balanced) continue;
    for (std::size_t slot = group.sockets.size(); slot < count; ++slot) {
      Result<Socket> socket = Socket::reserve(group.bound.address, options_for(group));
      if (!socket) return socket.error();
      added.emplace_back(&group, std::move(*socket));
    }
  }
  for (const auto& [group, socket] : added) {
    if (group->lent) continue;
    if (const std::error_code error = socket.start_listening(listen_)) return error;
  }
  for (auto& [group, socket] : added) {
    group->sockets.push_back(std::move(socket));
    if (group->lent) ++group->reserved;
  }
  slots_ = std::max(slots_, count);
  return {};
}

std::error_code ListenerTable::take_possession() {
  std::error_code first;
  for (Group& group : listeners_) {
    if (!std::exchange(group.lent, false)) continue;
    if (group.file != nullptr) group.file->take(group.bound.address);
    // The earlier program may have been killed amid its drain.
    if (!group.bound.address.is_unix() && !group.datagrams()) {
      for (const Socket& socket : group.sockets) Socket::accept_new(socket.fd());
    }
    for (; group.reserved > 0; --group.reserved) {
      const Socket& socket = group.sockets[group.sockets.size() - group.reserved];
      const std::error_code error = socket.start_listening(listen_);
      if (!first) first = error;
    }
  }
  return first;
}

void ListenerTable::give_up_possession() noexcept {
  for (Group& group : listeners_) group.lent = true;
  for (auto& [path, file] : files_) file.release();
}

std::vector<UniqueFd> ListenerTable::drop(unsigned group) {
  std::vector<UniqueFd> released;
  if (group >= listeners_.size()) return released;
  Group& dropped = listeners_[group];
  const Address& address = dropped.bound.address;
  const bool is_tcp = !address.is_unix() && !dropped.datagrams();
  const std::size_t first_own = dropped.inherited ? 1 : 0;
  for (std::size_t i = first_own; i < dropped.sockets.size() && is_tcp; ++i) {
    static_cast<void>(Socket::refuse_new(dropped.sockets[i].fd()));
  }
  if (const auto file = files_.find(address.to_string()); file != files_.end()) {
    files_.erase(file);  // removes it
    dropped.file = nullptr;
  }
  for (Socket& socket : dropped.sockets) released.push_back(socket.release());
  dropped.sockets.clear();
  return released;
}

void ListenerTable::learn(unsigned slot, unsigned group, Socket listener) {
  if (group >= listeners_.size() || !listeners_[group].balanced) return;
  std::vector<Socket>& sockets = listeners_[group].sockets;
  if (slot >= sockets.size()) sockets.resize(slot + 1);
  sockets[slot] = std::move(listener);
}

int ListenerTable::listener(unsigned slot, unsigned group) const noexcept {
  if (group >= listeners_.size() || !listeners_[group].balanced) return -1;
  const std::vector<Socket>& sockets = listeners_[group].sockets;
  return slot < sockets.size() ? sockets[slot].fd() : -1;
}

// Returns the options for a new socket of this group, which joins the others or replaces one of
// them.
ListenOptions ListenerTable::options_for(const Group& group) const {
  ListenOptions listen = listen_;
  listen.reuse_port = group.balanced;
  if (group.bound.address.family() == AF_INET6) {
    listen.v6_only = option_of(group.sockets.front().fd(), IPPROTO_IPV6, IPV6_V6ONLY) != 0;
  }
  return listen;
}

// Two inherited sockets may have the same address. Their two groups are a single group to the
// kernel.
bool ListenerTable::is_only_one_at_its_address(const Group& group) const {
  return std::count_if(listeners_.begin(), listeners_.end(), [&](const Group& other) {
           return other.balanced && other.bound.address == group.bound.address;
         }) == 1;
}

unsigned ListenerTable::steer(std::span<const int> processors) {
  unsigned steered = 0;
  for (const Group& group : listeners_) {
    if (!group.balanced || group.lent) continue;
    const int listener = group.sockets.front().fd();
    stop_steering(listener);
    if (group.sockets.size() != processors.size() || !is_only_one_at_its_address(group)) continue;
    std::vector<int> in_order;
    for (const std::size_t slot : group.kernel_order()) {
      in_order.push_back(processors[slot]);
    }
    if (!steer_by_processor(listener, in_order)) ++steered;
  }
  return steered;
}

void ListenerTable::refuse_new() noexcept {
  for_each_tcp_listener([](int fd) { static_cast<void>(Socket::refuse_new(fd)); });
}

void ListenerTable::accept_new() noexcept {
  for_each_tcp_listener([](int fd) { Socket::accept_new(fd); });
}

void ListenerTable::for_each_tcp_listener(void (*act)(int)) noexcept {
  for (const Group& group : listeners_) {
    if (group.lent || group.bound.address.is_unix() || group.datagrams()) continue;
    for (const Socket& socket : group.sockets) act(socket.fd());
  }
}

void ListenerTable::let_in_again() noexcept {
  for (const Group& group : listeners_) {
    const bool ours = group.inherited && !group.lent && !group.datagrams();
    if (!ours) continue;
    Socket::accept_new(group.sockets.front().fd());
    if (group.spread) end_spreading(group.sockets.front().fd());
  }
}

std::vector<UniqueFd> ListenerTable::release_own() {
  std::vector<UniqueFd> released;
  for (Group& group : listeners_) {
    const std::size_t kept = group.inherited ? 1 : 0;
    for (std::size_t i = kept; i < group.sockets.size(); ++i) {
      released.push_back(group.sockets[i].release());
    }
    group.sockets.resize(std::min(kept, group.sockets.size()));
  }
  std::erase_if(listeners_, [](const Group& group) { return group.sockets.empty(); });
  return released;
}

std::vector<UniqueFd> ListenerTable::release_all() {
  let_in_again();
  for (Group& group : listeners_) group.inherited = false;
  return release_own();
}

Result<std::vector<Socket>> ListenerTable::listeners_of(unsigned slot) const {
  std::vector<Socket> sockets;
  for (const Group& group : listeners_) {
    if (group.datagrams()) continue;
    if (!add_copy(sockets, group.sockets[group.balanced ? slot : 0])) return last_system_error();
  }
  return sockets;
}

Result<std::vector<Socket>> ListenerTable::datagrams() const {
  std::vector<Socket> sockets;
  for (const Group& group : listeners_) {
    if (!group.datagrams()) continue;
    if (!add_copy(sockets, group.sockets.front())) return last_system_error();
  }
  return sockets;
}

}  // namespace reactor::prefork
