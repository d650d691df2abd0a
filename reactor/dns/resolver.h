// SPDX-License-Identifier: MIT
// Resolver turns host names into addresses. It runs c-ares on the loop, without a thread and
// without a call that blocks on a name server.
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
#include "reactor/dns/dns_error.h"
#include "reactor/loop/loop.h"
#include "reactor/net/address.h"

namespace reactor::dns {

class Channel;
struct Lookup;

// Family says which addresses to look up: both kinds (any), A (v4) or AAAA (v6).
enum class Family : std::uint8_t { any, v4, v6 };

struct ResolverOptions {
  // The name servers, asked by UDP, or by TCP if an answer is too long for UDP; port 0 means 53.
  // Empty: the servers of the system's configuration.
  std::vector<Address> servers;
  // The time that one server may take, in whole milliseconds, at least 1. It doubles each time all
  // servers have been tried.
  Duration try_timeout = std::chrono::seconds(2);
  int tries = 3;           // tries per server, at least 1
  bool hosts_file = true;  // whether /etc/hosts is searched first
  // Path of a file with servers, search domains and options (resolv.conf(5)), without a NUL byte.
  // It is read once, in create().
  std::string configuration = "/etc/resolv.conf";
};

// A Query stands for one lookup. Destroying it while the lookup is under way cancels the lookup:
// the callback is never called. A Query whose callback was called, or that is default-constructed
// or moved from, is empty: destroying it does nothing. A Query may outlive its Resolver.
class [[nodiscard]] Query {
 public:
  Query() noexcept = default;
  Query(Query&& other) noexcept : lookup_(std::exchange(other.lookup_, nullptr)) {}
  Query& operator=(Query&& other) noexcept;
  Query(const Query&) = delete;
  Query& operator=(const Query&) = delete;
  ~Query();

  // Returns whether the callback is still to come.
  [[nodiscard]] bool pending() const noexcept;

 private:
  friend class Resolver;
  explicit Query(Lookup* lookup) noexcept : lookup_(lookup) {}

  Lookup* lookup_ = nullptr;
};

// A Resolver belongs to its loop's thread. Callbacks may call any function here, and may destroy
// the Resolver and any Query. Lookups under way keep Loop::run() going. A Resolver and its Queries
// may outlive the loop; destroying them is all that is allowed then.
class Resolver {
 public:
  // The callback gets the addresses, with the requested port, best first (RFC 6724 section 6) and
  // at least one. Or it gets an error: dns::Errc, not_enough_memory, Errc::wrong_process.
  using Done = Callback<void(Result<std::vector<Address>>)>;

  // Errors: dns::Errc::bad_options, not_enough_memory, Errc::wrong_process.
  [[nodiscard]] static Result<std::unique_ptr<Resolver>> create(
      Loop& loop, const ResolverOptions& options = {},
      SourceLocation where = SourceLocation::current());

  // Ends all lookups; their callbacks never run.
  ~Resolver();
  Resolver(const Resolver&) = delete;
  Resolver& operator=(const Resolver&) = delete;

  // Looks up `host`, and calls back once, never from inside resolve(). A numeric address is
  // returned as it is. A name for which is_localhost() is true gets the loopback addresses,
  // whatever the hosts file says (RFC 6761 section 6.3). Such a name is never sent to a name
  // server; with ResolverOptions::hosts_file, neither is a name that the hosts file has. The hosts
  // file is read for each lookup. The servers, tries and try_timeout limit the total time; for a
  // shorter deadline, destroy the Query.
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
  std::size_t wanted_ = 0;  // lookups that c-ares has and a Query waits for
};

}  // namespace reactor::dns
