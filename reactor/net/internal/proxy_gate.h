// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <cstddef>
#include <list>
#include <memory>
#include <span>
#include <string>

#include "reactor/base/callback.h"
#include "reactor/base/source_location.h"
#include "reactor/loop/loop.h"
#include "reactor/net/proxy.h"
#include "reactor/net/socket.h"

namespace reactor {

class ProxyHeaderParser;

// ProxyGate holds accepted connections until their PROXY header has arrived, and reads exactly that
// header. A connection that passes is then a socket like any other, and its Stream need not know of
// the header. Other connections are closed without an answer, and logged at a bounded rate.
// ProxyGate belongs to its loop's thread. Destroying it closes the waiting connections. Private to
// net/.
class ProxyGate {
 public:
  // Gets a connection that has passed. `addresses` is valid until the callback returns. It is null
  // if the socket's own addresses apply.
  using Passed = Callback<void(Socket, SourceLocation, const ProxiedAddresses* addresses)>;
  using Dropped = Callback<void()>;

  // Each admitted connection leads to exactly one call of `passed` or `dropped`, perhaps inside
  // admit(), and even if admit() throws. A connection that still waits when the gate is destroyed
  // leads to no call. `dropped` must not throw. `options` must outlive the gate.
  ProxyGate(Loop& loop, const ProxyOptions& options, Passed passed, Dropped dropped);
  ~ProxyGate();
  ProxyGate(const ProxyGate&) = delete;
  ProxyGate& operator=(const ProxyGate&) = delete;

  // Takes a new connection; `where` is passed on with it. Throws std::bad_alloc, and any exception
  // of `passed`.
  void admit(Socket connection, SourceLocation where);

  [[nodiscard]] const ProxyStats& stats() const noexcept { return stats_; }

 private:
  class Visitor;
  // Why is the reason for dropping a connection. stats_ has a count for each reason.
  enum class Why : std::uint8_t { not_allowed, malformed, timed_out, gone };
  static constexpr std::size_t kReasons = 4;
  struct Report {
    TimePoint next{};         // no log line before this
    std::uint64_t since = 0;  // connections dropped without a log line
  };
  // Evidence shows the fault of a header. `seen` has the first bytes of the connection, or is empty
  // if they are no longer at hand.
  struct Evidence {
    const ProxyHeaderParser* parser;
    std::span<const std::byte> seen;
  };

  [[nodiscard]] bool allowed(const Address& from) const noexcept;
  void read(Visitor& visitor);
  void pass(Visitor& visitor);
  void drop(Visitor& visitor, Why why, std::span<const std::byte> seen = {});
  void turn_away(Why why, const Address& from, const Evidence& evidence = {}) noexcept;
  void report(Why why, const Address& from, const Evidence& evidence) noexcept;
  [[nodiscard]] std::string describe(Why why, const Address& from, const Evidence& evidence,
                                     std::uint64_t since) const;
  [[nodiscard]] std::unique_ptr<Visitor> take_out(Visitor& visitor) noexcept;

  Loop& loop_;
  const ProxyOptions& options_;
  Passed passed_;
  Dropped dropped_;
  std::list<std::unique_ptr<Visitor>> visitors_;
  ProxyStats stats_;
  std::array<Report, kReasons> reports_;
};

}  // namespace reactor
