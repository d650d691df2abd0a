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

// Holds accepted connections until their PROXY header is here, and takes exactly that off the
// socket: what passes is a socket like any other, and its Stream knows nothing of all this. What
// may not pass is closed without an answer, and the log says so at a bounded rate. Belongs to its
// loop's thread; destroying it closes what waits. Private to net/.
class ProxyGate {
 public:
  // `addresses`: null where the socket's own stand. Valid until return.
  using Passed = Callback<void(Socket, SourceLocation, const ProxiedAddresses* addresses)>;
  using Dropped = Callback<void()>;

  // For each connection that was admitted one of the two is called, once; perhaps inside admit().
  // `options` outlive the gate.
  ProxyGate(Loop& loop, const ProxyOptions& options, Passed passed, Dropped dropped);
  ~ProxyGate();
  ProxyGate(const ProxyGate&) = delete;
  ProxyGate& operator=(const ProxyGate&) = delete;

  // A new connection; `where` goes with it. Throws std::bad_alloc.
  void admit(Socket connection, SourceLocation where);

  [[nodiscard]] const ProxyStats& stats() const noexcept { return stats_; }

 private:
  class Visitor;
  // Why one is dropped. How often is in stats_.
  enum class Why : std::uint8_t { not_allowed, malformed, timed_out, gone };
  static constexpr std::size_t kReasons = 4;
  struct Report {
    TimePoint next{};         // no line before
    std::uint64_t since = 0;  // how many were dropped without one
  };

  [[nodiscard]] bool allowed(const Address& from) const noexcept;
  void read(Visitor& visitor);
  void pass(Visitor& visitor);
  void drop(Visitor& visitor, Why why, std::span<const std::byte> seen = {});
  void turn_away(Why why, const Address& from, const std::string& detail = {});
  [[nodiscard]] bool due(Why why) const noexcept;
  void report(Why why, const Address& from, const std::string& detail);
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
