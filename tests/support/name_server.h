// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/loop/loop.h"
#include "reactor/net/socket.h"

namespace reactor {

// A name server on loopback, UDP and TCP on one port, that answers on the test's own loop and does
// what its table says. A name that is not in the table is NXDOMAIN.
class NameServer {
 public:
  enum class Mood : std::uint8_t {
    answers,
    silent,      // says nothing
    truncates,   // sends who asks by UDP to TCP
    hangs_up,    // as truncates, and then resets the TCP connection
    babbles,     // the answer ends in the middle
    misleads,    // answers another question
    is_mute_v6,  // says nothing about AAAA
  };
  struct Entry {
    std::vector<Address> addresses;
    int code = 0;  // RCODE (RFC 1035 section 4.1.1)
    Mood mood = Mood::answers;
    Duration v4_delay{0}, v6_delay{0};
  };

  explicit NameServer(Loop& loop);

  [[nodiscard]] Address address() const { return address_; }

  std::map<std::string, Entry> table;
  std::vector<std::string> asked;  // "A name", "AAAA name"; those by TCP end in " tcp"

 private:
  struct Client {
    Socket socket;
    IoWatcher watcher;
    std::string in;
  };
  struct Question {
    std::string message;  // as it came
    std::string name;
    bool v6 = false;
    bool tcp = false;
  };

  void bind();
  void on_datagram();
  void on_connection();
  void on_octets(Client& client);
  // The reply, empty for none.
  std::string reply_to(const Question& question, const Entry& entry) const;
  static Question parse(std::string message, bool tcp);
  const Entry& find(const Question& question);
  void later(Duration delay, Callback<void()> call);

  Loop* loop_;
  Socket udp_, tcp_;
  Address address_;
  IoWatcher udp_watcher_, tcp_watcher_;
  std::map<int, Client> clients_;
  std::vector<Timer> timers_;
};

}  // namespace reactor
