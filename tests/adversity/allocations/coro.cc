// SPDX-License-Identifier: MIT
// Allocation scenarios of coroutines.
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "reactor/coro/coro.h"
#include "tests/adversity/allocations/scenarios.h"
#include "tests/adversity/allocations/scene.h"

namespace reactor::allocations {

using coro::Task;
using std::chrono::milliseconds;

namespace {

// Has the loop throw the exceptions that wait: each of them leaves a turn of its own.
void let_leave(Scene& scene) {
  for (int turn = 0; turn < 10; ++turn) {
    try {
      scene.turn(Duration::zero());
    } catch (const LeftRun&) {
    }
  }
}

// Runs one task. An error that is reported inside the task is thrown from here.
void run(Scene& scene, Task<void> task) {
  coro::Spawned spawned = coro::spawn(scene.loop, std::move(task));
  try {
    scene.until([&] { return spawned.done(); });
    scene.turn(Duration::zero());  // an exception of the task leaves the loop a turn later
  } catch (const LeftRun&) {
    let_leave(scene);
    throw;
  }
}

template <class T>
std::optional<T> told(Scene& scene, Result<T> result) {
  if (result) return std::move(*result);
  scene.tell(result.error());
  return std::nullopt;
}

Task<int> number(int value) {
  co_await coro::sleep_for(milliseconds(value));
  co_return value;
}

Task<void> count(int& sum, int value) { sum += co_await number(value); }

Task<void> tasks(Scene& scene, bool& done) {
  int sum = 0;
  coro::TaskGroup group(scene.loop);
  for (int i = 0; i < 3; ++i) group.spawn(count(sum, i));
  co_await group.join();
  if (sum != 3) co_return;  // a task has failed, and its exception is on its way
  const auto both = co_await coro::when_all(number(1), number(2));
  Scene::check(std::get<0>(both) + std::get<1>(both) == 3, "both tasks ran");
  const auto first = co_await coro::when_any(number(1), number(1000));
  Scene::check(first.index() == 0, "the faster one is first");
  const Result<int> late = co_await coro::with_timeout(milliseconds(1), number(1000));
  Scene::check(late.error() == Errc::timed_out, "the slow one timed out");
  const Result<int> early = co_await coro::with_timeout(std::chrono::seconds(10), number(1));
  Scene::check(early.has_value(), "the fast one did not");
  done = true;
}

Task<void> produce(coro::Channel<int>& channel) {
  for (int i = 0; i < 5; ++i) co_await channel.push(i);
  channel.close();
}

Task<void> channels(Scene& scene) {
  coro::Channel<int> channel(2);
  coro::TaskGroup group(scene.loop);
  group.spawn(produce(channel));
  int sum = 0;
  for (;;) {
    const std::optional<int> value = co_await channel.pop();
    if (!value) break;
    sum += *value;
  }
  Scene::check(sum == 10, "all values came");
}

// Answers each line with its length, and each number with as many bytes.
Task<void> answer(coro::Stream stream) {
  for (;;) {
    const auto line = (co_await stream.read_line(1024)).value();
    if (!line) break;
    (co_await stream.write("got ")).value();
    (co_await stream.write(*line)).value();
    (co_await stream.write("\n")).value();
    std::array<std::byte, 4> rest;
    const std::size_t count = (co_await stream.read_exactly(rest)).value();
    if (count == 0) break;
    (co_await stream.write(std::string(400'000, 'x'))).value();
    (co_await stream.flush()).value();
  }
}

Task<void> talk(Scene& scene, Address server) {
  auto connected = told(scene, co_await coro::connect(server));
  if (!connected) co_return;
  coro::Stream& stream = *connected;
  const Result<> sent = co_await stream.write("hello\nrest");
  if (!sent) co_return scene.tell(sent.error());
  const Result<std::optional<std::string_view>> line = co_await stream.read_line(100);
  if (!line) co_return scene.tell(line.error());
  if (!*line) co_return scene.tell(std::make_error_code(std::errc::connection_reset));
  Scene::check(**line == "got hello", "the line came whole");
  stream.shutdown();
  const Result<std::string_view> rest = co_await stream.read_all(1'000'000);
  if (!rest) co_return scene.tell(rest.error());
  if (rest->size() < 400'000) {
    co_return scene.tell(std::make_error_code(std::errc::connection_reset));
  }
}

Task<void> datagrams(Scene& scene) {
  auto server = told(scene, coro::Datagram::bind(scene.loop, Address::loopback(0)));
  if (!server) co_return;
  auto client = told(scene, coro::Datagram::connect(scene.loop, (*server)->address()));
  if (!client) co_return;
  for (int i = 0; i < 3; ++i) (*client)->transport().send("datagram");
  std::array<std::byte, 100> buffer;
  for (int i = 0; i < 3; ++i) {
    const Result<coro::Received> got = co_await (*server)->receive(buffer);
    if (!got) co_return scene.tell(got.error());
    Scene::check(got->size == 8, "a datagram comes whole");
  }
}

Task<void> receives(Scene& scene, coro::Datagram& server, int count) {
  std::array<std::byte, 100> buffer;
  for (int i = 0; i < count; ++i) {
    const Result<coro::Received> got = co_await server.receive(buffer);
    if (!got) co_return scene.tell(got.error());
    Scene::check(got->size == 8, "a datagram comes whole");
  }
}

Task<void> listens(Scene& scene) {
  auto listener = told(scene, coro::Listener::listen(scene.loop, Address::loopback(0)));
  if (!listener) co_return;
  coro::TaskGroup group(scene.loop);
  group.spawn(talk(scene, (*listener)->address()));
  auto accepted = told(scene, co_await (*listener)->accept());
  if (!accepted) co_return;
  co_await answer(std::move(*accepted));
  co_await group.join();
}

}  // namespace

void coro_tasks(Scene& scene) {
  bool done = false;
  run(scene, tasks(scene, done));
  Scene::check(done, "an exception of a task is lost");
}
void coro_channels(Scene& scene) { run(scene, channels(scene)); }
void coro_datagrams(Scene& scene) { run(scene, datagrams(scene)); }
// The datagrams come while no coroutine receives.
void coro_datagrams_kept(Scene& scene) {
  auto server = scene.get(coro::Datagram::bind(scene.loop, Address::loopback(0)));
  auto client = scene.get(coro::Datagram::connect(scene.loop, server->address()));
  for (int i = 0; i < 3; ++i) client->transport().send("datagram");
  scene.until([&] { return server->transport().stats().received > 0; });
  run(scene, receives(scene, *server, 3));
}
void coro_listener(Scene& scene) { run(scene, listens(scene)); }

void coro_server(Scene& scene) {
  auto server = scene.get(coro::serve(scene.loop, Address::loopback(0), answer));
  Address address;
  {
    const Unfailing unfailing;
    address = server->addresses().at(0);
  }
  run(scene, talk(scene, address));
  bool drained = false;
  server->drain([&] { drained = true; });
  scene.until([&] { return drained; });
}

}  // namespace reactor::allocations
