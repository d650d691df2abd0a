// SPDX-License-Identifier: MIT
// G12 for name resolution. tests/coro/ownership_test.cc has the rest.
#include <memory>
#include <utility>

#include "reactor/dns/host_connector.h"
#include "tests/support/loop_test.h"

namespace reactor::dns {
namespace {

using std::chrono::hours;

class ResolverOwnership : public LoopTest {
 protected:
  // Questions that get no answer, and the objects that asked them.
  struct Asked {
    explicit Asked(Loop& loop) {
      ResolverOptions options;
      options.servers = {Address::loopback(9)};
      options.configuration = "/dev/null";
      options.hosts_file = false;
      resolver = get(Resolver::create(loop, options));
      const auto never = [](auto) { FAIL() << "the loop ends before"; };
      first = resolver->resolve("a.test", 80, Family::any, never);
      second = resolver->resolve("b.test", 80, Family::v4, never);
      numeric = resolver->resolve("127.0.0.1", 80, Family::any, never);
      connector = get(HostConnector::connect(*resolver, "c.test", 80, {}, never));
    }
    std::unique_ptr<Resolver> resolver;
    Query first, second, numeric;
    std::unique_ptr<HostConnector> connector;
  };
};

TEST_P(ResolverOwnership, AtTheLoopsEnd) {
  for (const bool by_a_timer : {false, true}) {
    auto loop = std::make_unique<Loop>(options());
    auto asked = std::make_shared<Asked>(*loop);
    const std::weak_ptr<Asked> seen = asked;
    Timer timer;
    if (by_a_timer) {
      timer = loop->after(hours(1), [asked = std::move(asked)] {});
    } else {
      loop->post([asked = std::move(asked)] {});
    }
    loop.reset();
    EXPECT_TRUE(seen.expired());
  }
}

TEST_P(ResolverOwnership, AfterTheLoopsEndInAnyOrder) {
  for (const bool resolver_first : {false, true}) {
    auto loop = std::make_unique<Loop>(options());
    Asked asked(*loop);
    loop.reset();
    if (resolver_first) asked.resolver.reset();
    asked.first = Query();
    asked.connector.reset();
    asked.second = Query();
    asked.resolver.reset();
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, ResolverOwnership, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::dns
