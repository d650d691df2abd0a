// SPDX-License-Identifier: MIT
// Measures the cost of an await: of a task that is finished at once, of a yield, of a timer that is
// due, of a task with a timeout, and of a value from another coroutine.
#include "bench/backends.h"
#include "reactor/coro/coro.h"

namespace {

namespace coro = reactor::coro;

coro::Task<int> number() { co_return 1; }

coro::Task<> await_tasks(benchmark::State& state) {
  int sum = 0;
  for (auto run : state) sum += co_await number();
  benchmark::DoNotOptimize(sum);
}
coro::Task<> await_yields(benchmark::State& state) {
  for (auto run : state) co_await coro::yield();
}
coro::Task<> await_sleeps(benchmark::State& state) {
  for (auto run : state) co_await coro::sleep_for(reactor::Duration::zero());
}
coro::Task<> await_timeouts(benchmark::State& state) {
  for (auto run : state) (void)co_await coro::with_timeout(std::chrono::seconds(1), number());
}

coro::Task<> consume(coro::Channel<int>& channel) {
  while (const std::optional<int> value = co_await channel.pop()) benchmark::DoNotOptimize(*value);
}
// Each value wakes the consumer, and each wait for room wakes the producer.
coro::Task<> await_hops(benchmark::State& state, coro::Channel<int>& channel) {
  for (auto run : state) co_await channel.push(1);
  channel.close();
}

void run(benchmark::State& state, coro::Task<> (*body)(benchmark::State&)) {
  reactor::Loop loop(bench::options_of(state));
  coro::spawn(loop, body(state)).detach();
  (void)loop.run();
}

void task(benchmark::State& state) { run(state, await_tasks); }
void yield(benchmark::State& state) { run(state, await_yields); }
void sleep(benchmark::State& state) { run(state, await_sleeps); }
void timeout(benchmark::State& state) { run(state, await_timeouts); }

void channel_hop(benchmark::State& state) {
  reactor::Loop loop(bench::options_of(state));
  coro::Channel<int> channel(1);
  coro::spawn(loop, consume(channel)).detach();
  coro::spawn(loop, await_hops(state, channel)).detach();
  (void)loop.run();
}

void backend_only(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"backend"});
  bench::on_each_backend(benchmark);
}

BENCHMARK(task)->Apply(backend_only);
BENCHMARK(yield)->Apply(backend_only);
BENCHMARK(sleep)->Apply(backend_only);
BENCHMARK(timeout)->Apply(backend_only);
BENCHMARK(channel_hop)->Apply(backend_only);

}  // namespace
