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
#include "reactor/prefork/deaf_listener.h"
#include "reactor/prefork/options.h"
#include "reactor/prefork/upgrade.h"

namespace reactor::prefork {

// The listening sockets of all workers, and those of datagrams: bound once, before the first fork,
// and kept for good by the master. Private to prefork.
class Slots {
 public:
  // Where opening failed.
  struct Failure {
    Bind bind;
    std::error_code error;
  };

  Slots() = default;
  Slots(const Slots&) = delete;
  Slots& operator=(const Slots&) = delete;
  // Removes the files of unix sockets. Not run in a worker: that leaves by _exit(2).
  ~Slots();

  // Binds and listens on all addresses, and takes over the sockets that are there already, first
  // of all those of an earlier program. False: `failure` says which one could not be had.
  [[nodiscard]] bool open(const Options& options, Inheritance& earlier, Failure& failure);
  // Describes the sockets for a later program.
  [[nodiscard]] std::vector<ListenerGroup> describe() const;
  // All is the later program's from here on: our end changes nothing, and leaves the files.
  void hand_over() noexcept;
  // The sockets of an earlier program are ours from here on; before, nothing changes what they do.
  // Those that were made beside them listen now, and the files of unix sockets are removed at the
  // end. Errors: those of listen(2).
  [[nodiscard]] std::error_code take_possession();
  // At least as many as workers; more where an earlier program had more.
  [[nodiscard]] unsigned count() const noexcept { return slots_; }

  // Where it listens, with real ports, in the order of the options; several for SystemdSockets.
  [[nodiscard]] std::vector<Endpoint> addresses() const;

  // Copies of one slot's listeners, one per address. Errors: those of fcntl(2) F_DUPFD_CLOEXEC.
  [[nodiscard]] Result<std::vector<Socket>> listeners_of(unsigned slot) const;
  // Copies of the sockets for datagrams, which all slots share: none of them may keep what its
  // socket's queue holds from the others.
  [[nodiscard]] Result<std::vector<Socket>> datagrams() const;

  // One more slot, as the others. Errors: those of Socket::listen().
  [[nodiscard]] std::error_code grow();
  // In a worker: a listener that was opened after its fork.
  void learn(unsigned slot, unsigned group, Socket listener);

  // A group is one address: a socket for each slot, or a single one for all.
  [[nodiscard]] unsigned groups() const noexcept {
    return static_cast<unsigned>(listeners_.size());
  }
  // A slot's own socket; -1 where all share one, and where all are closed.
  [[nodiscard]] int listener(unsigned slot, unsigned group) const noexcept;

  // Gives connections to workers by processor: `processors` has one for each slot, or none, which
  // ends that. Returns how many groups do so from now on; the others spread them as before.
  unsigned steer(std::span<const int> processors) noexcept;

  // New connections to our TCP sockets do not get in any more, for no process; see
  // Socket::refuse_new().
  void refuse_new() noexcept;

  // Makes those listen again that a worker made deaf (see DeafListeners): as they are if that is
  // enough, else anew. Returns how many; workers have to be replaced then, as they have dropped
  // such a listener. The first call notes how the listeners should be. An error is logged once
  // until all is well.
  [[nodiscard]] unsigned mend();
  // Lets connections in again, even if another program called refuse_new().
  void accept_new() noexcept;

  // Closes this process's sockets; what workers adopted stays open.
  void close() noexcept { listeners_.clear(); }
  // Gives this process's sockets up, to be closed. Those that are somebody else's too stay: at the
  // end they let connections in again.
  [[nodiscard]] std::vector<UniqueFd> release_own();
  // The end: gives all up.
  [[nodiscard]] std::vector<UniqueFd> release_all();

 private:
  struct Group {
    [[nodiscard]] bool datagrams() const noexcept { return bound.kind == Endpoint::Kind::datagram; }
    Endpoint bound;
    std::string key;  // what was asked for
    bool balanced = false;
    bool inherited = false;       // the first one
    bool lent = false;            // another program's: an earlier one's, or a later one's
    bool has_file = false;        // of a unix socket, to be removed at the end
    std::size_t reserved = 0;     // the last ones, that don't listen before take_possession()
    std::vector<Socket> sockets;  // by slot where it is balanced, else one
  };

  [[nodiscard]] bool open(const Bind& bind, const Options& options, Inheritance& earlier,
                          Failure& failure);
  void open(const Bind& bind, const Options& options, Failure& failure);
  // `ours`: a unix socket's file is to be removed at the end.
  [[nodiscard]] std::error_code take_earlier(ListenerGroup&& earlier, bool ours);
  [[nodiscard]] std::error_code grow(Group& group) const;
  [[nodiscard]] std::error_code even_out();
  void for_each_tcp_listener(void (*act)(int)) noexcept;
  void let_in_again() noexcept;
  [[nodiscard]] std::error_code open_group(const Address& address, const Options& options);
  [[nodiscard]] std::error_code open_datagrams(const Address& address, const Options& options);
  [[nodiscard]] std::error_code add_datagrams(Socket socket, bool ours);
  [[nodiscard]] std::error_code adopt_group(int fd, const Options& options);
  void remember_file(const Address& address);
  [[nodiscard]] Result<> mend(Group& group, Socket& listener);
  [[nodiscard]] Result<> replace(const Group& group, Socket& listener);

  ListenOptions listen_;
  unsigned slots_ = 0;
  std::vector<Group> listeners_;
  std::map<std::string, SocketFile> files_;  // of unix sockets, by address
  DeafListeners deaf_;
  bool cannot_mend_ = false;  // which was logged
};

}  // namespace reactor::prefork
