// SPDX-License-Identifier: MIT
// Resolver: host names to addresses, with c-ares on the loop: no thread, and no call that waits for
// a name server.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/base/result.h"
#include "reactor/dns/error.h"
#include "reactor/loop/loop.h"
#include "reactor/net/address.h"

namespace reactor::dns {

class Channel;
struct Lookup;

// Which addresses are asked for: A, AAAA or both.
enum class Family : std::uint8_t { any, v4, v6 };

struct ResolverOptions {
  // Name servers, asked by UDP, and by TCP where an answer is too long for that; port 0 is 53.
  // Empty: those of the system's configuration.
  std::vector<Address> servers;
  // How long one server may take, in whole milliseconds, at least 1; doubles with each round over
  // all servers.
  Duration try_timeout = std::chrono::seconds(2);
  int tries = 3;           // of each server, at least 1
  bool hosts_file = true;  // /etc/hosts is looked at first
  // A path without a NUL byte. Read once, in create(), for servers, search domains and options
  // (resolv.conf(5)).
  std::string configuration = "/etc/resolv.conf";
};

// One question under way. Destroying it cancels: the callback never runs again. One that is over,
// default-made or moved from does nothing. It may outlive its Resolver.
class [[nodiscard]] Query {
 public:
  Query() noexcept = default;
  Query(Query&& other) noexcept : lookup_(std::exchange(other.lookup_, nullptr)) {}
  Query& operator=(Query&& other) noexcept;
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  // Whether its callback is still to come.
  [[nodiscard]] bool pending() const noexcept;

 private:
  friend class Resolver;
  explicit Query(Lookup* lookup) noexcept : lookup_(lookup) {}

  Lookup* lookup_ = nullptr;
};

// Belongs to its loop's thread. Callbacks may call all of it, and may destroy it and any Query.
// Questions under way keep Loop::run() going. A Resolver and its Queries may outlive the loop, but
// may only be destroyed then.
class Resolver {
 public:
  // The addresses, with the port asked for, best first (RFC 6724 section 6; never none); or the
  // error: dns::Errc, not_enough_memory, Errc::wrong_process.
  using Done = Callback<void(Result<std::vector<Address>>)>;

  // Errors: dns::Errc::bad_options, not_enough_memory, Errc::wrong_process.
  [[nodiscard]] static Result<std::unique_ptr<Resolver>> create(
      Loop& loop, const ResolverOptions& options = {},
      SourceLocation where = SourceLocation::current());

  // Ends all questions; their callbacks never run.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Asks for `host`; calls back once, never from inside resolve(). A numeric address is its own
  // answer. A name that is_localhost() gets the loopback addresses, whatever the hosts file says
  // (RFC 6761 section 6.3). Neither these nor the names of the hosts file, a small file that is
  // read for each question, are ever sent to a name server. The total time is bounded by servers,
  // tries and try_timeout; for a deadline of your own, destroy the Query.
  Query resolve(std::string_view host, std::uint16_t port, Family family, Done done,
                SourceLocation where = SourceLocation::current());

  [[nodiscard]] Loop& loop() const noexcept { return *loop_; }

 private:
  friend struct Lookup;
  friend class Query;
  Resolver(Loop& loop, std::unique_ptr<Channel> channel) noexcept;
  void ask(Lookup& lookup, const std::string& host, Family family);
  void release_one();

  Loop* loop_;
  std::unique_ptr<Channel> channel_;
  std::size_t wanted_ = 0;  // questions that c-ares has and a Query waits for
};

}  // namespace reactor::dns
