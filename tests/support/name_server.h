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

// NameServer is a name server on loopback. It uses one port for UDP and TCP, runs on the test's own
// loop, and answers as its table says. A name that is not in the table gets NXDOMAIN.
class NameServer {
 public:
  enum class Mood : std::uint8_t {
    answers,
    silent,      // does not answer
    truncates,   // sends clients from UDP to TCP
    hangs_up,    // sends clients to TCP, and then resets the TCP connection
    babbles,     // sends an answer that ends in the middle
    misleads,    // answers with another ID than the question has
    is_mute_v6,  // does not answer questions for AAAA
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
  // Questions such as "A name" or "AAAA name". A question by TCP ends in " tcp".
  std::vector<std::string> asked;

 private:
  struct Client {
    Socket socket;
    IoWatcher watcher;
    std::string in;
  };
  struct Question {
    std::string message;  // the bytes as received
    std::string name;
    bool v6 = false;
    bool tcp = false;
  };

  void bind();
  void on_datagram();
  void on_connection();
  void on_bytes(Client& client);
  // Returns the reply, or "" if there is to be none.
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
