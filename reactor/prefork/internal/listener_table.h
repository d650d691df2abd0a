// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <system_error>
#include <vector>

#include "reactor/net/socket.h"
#include "reactor/net/socket_file.h"
#include "reactor/prefork/internal/system/deaf_listener.h"
#include "reactor/prefork/internal/upgrade.h"
#include "reactor/prefork/prefork_options.h"

namespace reactor::prefork {

// ListenerTable has the listening sockets of all slots, and the sockets for datagrams. They are
// bound once, before the first fork, and the master keeps them open until it ends. Private to
// prefork.
class ListenerTable {
 public:
  // The Bind that could not be opened, and the reason.
  struct Failure {
    Bind bind;
    std::error_code error;
  };

  ListenerTable() = default;
  ListenerTable(const ListenerTable&) = delete;
  ListenerTable& operator=(const ListenerTable&) = delete;
  // Removes the files of unix sockets. Not run in a worker, because that leaves by _exit(2).
  ~ListenerTable();

  // Opens the sockets of all addresses: takes them over from the earlier program of an upgrade or
  // from the parent process, or binds new ones. Returns false if an address could not be opened;
  // `failure` names it.
  [[nodiscard]] bool open(const Options& options, Inheritance& earlier, Failure& failure);
  // Describes the sockets for a later program.
  [[nodiscard]] std::vector<ListenerGroup> describe() const;
  // Leaves the sockets to the later program. From here on this program does not change the sockets,
  // and the destructor does not remove the files of unix sockets.
  void give_up_possession() noexcept;
  // Ends a group that a later program does not have, and returns its sockets. The caller closes
  // them, or first accepts the connections that are queued there. TCP sockets that this program
  // opened let no new connections in from now on, and the file of a unix socket is removed.
  [[nodiscard]] std::vector<UniqueFd> drop(unsigned group);
  // Called when the sockets of an earlier program become this program's. Until then this program
  // does not change them. The sockets that this program added to their groups begin to listen now,
  // and the destructor will remove the files of unix sockets. Errors: those of listen(2).
  [[nodiscard]] std::error_code take_possession();
  // The number of slots: at least as many as workers, more if an earlier program had more.
  [[nodiscard]] unsigned slots() const noexcept { return slots_; }

  // The addresses, with real ports, in the order of the options; several for SystemdSockets.
  [[nodiscard]] std::vector<Endpoint> addresses() const;

  // Returns copies of one slot's listeners, one per address. Errors: those of fcntl(2)
  // F_DUPFD_CLOEXEC.
  [[nodiscard]] Result<std::vector<Socket>> listeners_of(unsigned slot) const;
  // Returns copies of the sockets for datagrams. All slots share them, so that no worker keeps
  // queued datagrams from the others.
  [[nodiscard]] Result<std::vector<Socket>> datagrams() const;

  // Adds slots, with sockets like those of the other slots, until there are `count`. Errors: those
  // of Socket::listen(). After an error no slot was added.
  [[nodiscard]] std::error_code grow(unsigned count);
  // Called in a worker: takes a listener that the master opened after the fork.
  void learn(unsigned slot, unsigned group, Socket listener);

  // The number of groups. A group is one address: it has a socket for each slot, or one for all.
  [[nodiscard]] unsigned groups() const noexcept {
    return static_cast<unsigned>(listeners_.size());
  }
  // Whether the sockets of this group accept connections, instead of receiving datagrams.
  [[nodiscard]] bool accepts(unsigned group) const noexcept {
    return group < listeners_.size() && !listeners_[group].datagrams();
  }
  // The slot's own socket; -1 if all slots share one, and after close().
  [[nodiscard]] int listener(unsigned slot, unsigned group) const noexcept;

  // Steers connections to the worker that is pinned to the receiving processor. `processors` has
  // one entry for each slot. If it is empty, steering ends. Returns how many groups are steered;
  // the others spread connections as before.
  unsigned steer(std::span<const int> processors);

  // Lets no new connections in at our TCP sockets, for any process; see Socket::refuse_new().
  void refuse_new() noexcept;

  // Repairs listeners that a worker made deaf (see DeafListeners): makes them listen again, or
  // replaces them if that is not enough. Returns how many were repaired. If any were, the caller
  // has to replace the workers, because they have stopped using the deaf listeners. The first call
  // records how the listeners should be. Only the first error is logged, until all listeners are
  // well again.
  [[nodiscard]] unsigned mend();
  // Lets connections in again, even if another program called refuse_new().
  void accept_new() noexcept;

  // Closes this process's sockets; the copies that workers adopted stay open.
  void close() noexcept { listeners_.clear(); }
  // Returns the sockets that this process opened, for the caller to close. Keeps inherited sockets,
  // because another process has them, too. The destructor makes the inherited ones accept new
  // connections again.
  [[nodiscard]] std::vector<UniqueFd> release_own();
  // Returns all sockets, for the caller to close at the end.
  [[nodiscard]] std::vector<UniqueFd> release_all();

 private:
  struct Group {
    [[nodiscard]] bool datagrams() const noexcept { return bound.kind == Endpoint::Kind::datagram; }
    // Returns the slots in the order in which the kernel numbers their sockets.
    [[nodiscard]] std::vector<std::size_t> kernel_order() const;
    Endpoint bound;
    std::string key;  // the Bind that it was opened for
    bool balanced = false;
    bool inherited = false;  // the parent process opened its first socket
    bool spread = false;     // this program let other sockets join an inherited one
    bool lent = false;       // it belongs to an earlier or a later program
    // In files_; null: the file of a unix socket is not ours to remove.
    SocketFile* file = nullptr;
    std::size_t reserved = 0;  // how many of the last sockets don't listen before take_possession()
    std::vector<Socket> sockets;          // one per slot if balanced, else one
    std::vector<std::size_t> order = {};  // kernel_order() without the slots that were added later
  };

  [[nodiscard]] bool open(const Bind& bind, const Options& options, Inheritance& earlier,
                          Failure& failure);
  void open(const Bind& bind, const Options& options, Failure& failure);
  // `ours`: this program removes the file of a unix socket at its end.
  [[nodiscard]] std::error_code take_earlier(ListenerGroup&& earlier, bool ours);
  [[nodiscard]] std::error_code even_out();
  void for_each_tcp_listener(void (*act)(int)) noexcept;
  void let_in_again() noexcept;
  [[nodiscard]] std::error_code open_group(const Address& address, const Options& options);
  [[nodiscard]] std::error_code open_datagrams(const Address& address, const Options& options);
  [[nodiscard]] std::error_code add_datagrams(Socket socket);
  [[nodiscard]] std::error_code adopt_group(int fd, const Options& options);
  [[nodiscard]] SocketFile& file_for(const Address& address);
  [[nodiscard]] ListenOptions options_for(const Group& group) const;
  [[nodiscard]] bool is_only_one_at_its_address(const Group& group) const;
  [[nodiscard]] Result<> mend(Group& group, Socket& listener, bool& moved);
  [[nodiscard]] Result<> replace(const Group& group, Socket& listener);

  ListenOptions listen_;
  unsigned slots_ = 0;
  std::vector<Group> listeners_;
  std::map<std::string, SocketFile> files_;  // of unix sockets, by address; removed at the end
  DeafListeners deaf_;
  bool cannot_mend_ = false;  // an error was logged
};

}  // namespace reactor::prefork
