// SPDX-License-Identifier: MIT
// connect() returns a Stream to a server, or the error.
#include "tests/coro/coro_test.h"

namespace reactor::coro {
namespace {

class Connecting : public CoroTest {};

TEST_P(Connecting, TalksToAServer) {
  Loop loop(options());
  auto server = get(serve(loop, Address::loopback(0), echo));
  const auto body = [&]() -> Task<> {
    Stream stream = (co_await connect(server->addresses().front())).value();
    (co_await stream.write("hello\n")).value();
    const auto answer = (co_await stream.read_line(100)).value();
    EXPECT_EQ(answer, "hello");
    stream = {};
    server.reset();
  };
  EXPECT_TRUE(run(loop, body()));
}

TEST_P(Connecting, TellsWhyNot) {
  Loop loop(options());
  const auto body = [&]() -> Task<> {
    Address gone;
    {
      const auto listener = get(Listener::listen(loop, Address::loopback(0)));
      gone = listener->address();
    }
    const Result<Stream> refused = co_await connect(gone);
    EXPECT_EQ(refused.error(), on_libkqueue(GetParam()) ? std::errc::connection_aborted
                                                        : std::errc::connection_refused);
    const Result<Stream> nowhere = co_await connect(std::span<const Address>());
    EXPECT_EQ(nowhere.error(), std::errc::destination_address_required);
  };
  EXPECT_TRUE(run(loop, body()));
}

INSTANTIATE_TEST_SUITE_P(Backends, Connecting, every_backend(), BackendName());

}  // namespace
}  // namespace reactor::coro
