// SPDX-License-Identifier: MIT
// Allocation scenarios of streams, listeners, connectors and datagrams.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "reactor/net/connector.h"
#include "reactor/net/datagram/datagram.h"
#include "reactor/net/listener.h"
#include "reactor/net/stream/stream.h"
#include "reactor/process/child_process.h"
#include "tests/adversity/allocations/handlers.h"
#include "tests/adversity/allocations/scenarios.h"
#include "tests/adversity/allocations/scene.h"
#include "tests/support/pipes.h"
#include "tests/support/temporary_folder.h"

namespace reactor::allocations {

using std::chrono::milliseconds;

namespace {

// A TCP connection with small kernel buffers.
struct Line {
  explicit Line(Scene& scene, FdPair pair = make_tcp_pair())
      : client(scene, std::move(pair.far)), socket(std::move(pair.near)) {
    const int size = 16 * 1024;
    ::setsockopt(socket.fd(), SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
  }
  Client client;
  Socket socket;
};

// Checks that the client gets exactly `text`, and then the end.
void expect_text(Client& client, std::string_view text) {
  client.await_end();
  Scene::check(client.got() == text, "the bytes are not those that were sent");
}

const std::string& large_text() {
  const Unfailing unfailing;
  static const std::string text = pattern(300 * 1000);
  return text;
}

}  // namespace

// Writes more than the kernel takes, in pieces of several sizes, in callbacks and outside of them.
void net_stream(Scene& scene) {
  Line line(scene);
  Teller handler(scene);
  const StreamOptions options;
  Stream stream(scene.loop, std::move(line.socket), handler, options);
  handler.when_data = [](Stream& of, std::span<std::byte>) {
    of.write(std::string_view(large_text()).substr(0, 100));
    of.write(std::string_view(large_text()).substr(100, 200'000));
  };
  stream.start();
  line.client.write("x");
  scene.until([&] { return stream.queued() > 0; });
  stream.write(std::string_view(large_text()).substr(200'100));
  stream.close();
  expect_text(line.client, large_text());
}

// Uses the options that live in a separate block, which few streams need: counters, rates,
// deadlines.
void net_stream_extras(Scene& scene) {
  Line line(scene);
  Teller handler(scene);
  const StreamOptions options;
  Stream stream(scene.loop, std::move(line.socket), handler, options);
  stream.count_bytes();
  stream.set_read_rate(100'000'000);
  stream.set_write_rate(100'000'000);
  stream.set_write_timeout(std::chrono::seconds(20));
  stream.announce(Address::loopback(1), Address::loopback(2));
  handler.when_data = [](Stream& of, std::span<std::byte>) {
    of.write(large_text());
    of.close();
  };
  stream.start();
  stream.set_total_deadline(monotonic_now() + std::chrono::seconds(20));
  line.client.write("x");
  expect_text(line.client, large_text());
}

namespace {

UniqueFd file_with(std::string_view text) {
  const Unfailing unfailing;
  const TemporaryFolder folder;
  UniqueFd file(::open(folder.file("file").c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  Scene::check(::write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()),
               "a file of the test is written");
  return file;
}

}  // namespace

void net_stream_files(Scene& scene) {
  Line line(scene);
  Teller handler(scene);
  const StreamOptions options;
  Stream stream(scene.loop, std::move(line.socket), handler, options);
  const std::string_view text = large_text();
  UniqueFd first = file_with(text), second = file_with(text);
  stream.start();
  stream.send_file(std::move(first), 0, 200'000);
  stream.write(text.substr(200'000, 50'000));
  stream.send_file(std::move(second), 250'000, 40'000);
  stream.write(text.substr(290'000));
  stream.close();
  expect_text(line.client, text);
}

void net_stream_timeouts(Scene& scene) {
  Line line(scene);
  Teller handler(scene);
  int timeouts = 0;
  handler.when_timeout = [&](Stream& of) {
    if (++timeouts == 2) of.close();
  };
  const StreamOptions options;
  Stream stream(scene.loop, std::move(line.socket), handler, options);
  stream.set_read_timeout(milliseconds(1));
  stream.start();
  scene.until([&] { return handler.closed; });
}

// Closes the stream while the peer still sends.
void net_stream_lingers(Scene& scene) {
  Line line(scene);
  Teller handler(scene);
  const StreamOptions options;
  Stream stream(scene.loop, std::move(line.socket), handler, options);
  stream.start();
  stream.write("the last answer");
  stream.close(true);
  scene.until([&] { return handler.closed; });
  line.client.write("more");
  expect_text(line.client, "the last answer");
}

// Detaches a stream and gives its socket to another one. Lets a second stream fail, and aborts a
// third.
void net_stream_handed_out(Scene& scene) {
  const StreamOptions options;
  Line line(scene), failing(scene), aborted(scene);
  Teller handler(scene);
  Stream stream(scene.loop, std::move(line.socket), handler, options);
  stream.start();
  Stream second(scene.loop, scene.get(stream.detach()), handler, options);
  second.start();
  second.write("text");
  second.close();
  expect_text(line.client, "text");

  Teller silent;
  Stream third(scene.loop, std::move(failing.socket), silent, options);
  third.start();
  third.fail(std::make_error_code(std::errc::bad_message));
  Stream fourth(scene.loop, std::move(aborted.socket), silent, options);
  fourth.start();
  fourth.abort();
  scene.until([&] { return silent.closes == 2; });
}

void net_listener(Scene& scene) {
  struct Accepted final : AcceptHandler {
    void on_accept(Listener&, Socket connection) override {
      sockets.push_back(std::move(connection));
    }
    std::vector<Socket> sockets;
  } accepted;
  auto listener = scene.get(Listener::listen(scene.loop, Address::loopback(0), accepted));
  const Client first(scene, listener->address()), second(scene, listener->address());
  scene.until([&] { return accepted.sockets.size() == 2; });
  listener->pause();
  scene.get(listener->resume());
  listener->share();
}

namespace {

// Calls `act` with an empty folder. However `act` ends, the handles that it made leave no file.
template <class Act>
void expect_no_file_left(Act act) {
  const Own<TemporaryFolder> folder;
  const auto check = [&] {
    const Unfailing unfailing;
    Scene::check(folder->files() == 0, "a socket's file was left behind");
  };
  try {
    act(*folder.operator->());
  } catch (const Wrong&) {
    throw;
  } catch (...) {
    check();
    throw;
  }
  check();
}

}  // namespace

void net_socket_files(Scene& scene) {
  struct : AcceptHandler {
    void on_accept(Listener&, Socket) override {}
  } accepted;
  Echoes echoes(scene);
  expect_no_file_left([&](const TemporaryFolder& folder) {
    const auto listener = scene.get(Listener::listen(scene.loop, folder.socket("l"), accepted));
    const auto server = scene.get(Datagram::bind(scene.loop, folder.socket("d"), echoes));
    DatagramOptions options;
    options.local = folder.socket("c");
    const auto client =
        scene.get(Datagram::connect(scene.loop, server->address(), echoes, options));
    Socket adopted = scene.get(Socket::listen(folder.socket("a"), {}));
    const auto adopter = scene.get(Listener::adopt(scene.loop, std::move(adopted), accepted, true));
  });
}

// The first address refuses the connection, the second one accepts it.
void net_connector(Scene& scene) {
  const Socket listening = scene.get(Socket::listen(Address::loopback(0), {}));
  Address refusing = Address::loopback(0);
  refusing = scene.get(scene.get(Socket::reserve(refusing, {})).local());
  const std::array addresses = {refusing, scene.get(listening.local())};
  bool connected = false;
  auto connector = scene.get(
      Connector::connect(scene.loop, addresses, ConnectOptions{}, [&](Result<Socket> result) {
        connected = result.has_value();
        scene.tell(result.error());
      }));
  scene.until([&] { return connected; });
  scene.check(connector->attempts().size() == 2, "both addresses were tried");
}

void net_datagrams(Scene& scene) {
  Echoes echoes(scene), answers(scene);
  answers.echoes = false;
  auto server = scene.get(Datagram::bind(scene.loop, Address::loopback(0), echoes));
  auto client = scene.get(Datagram::connect(scene.loop, server->address(), answers));
  for (int i = 0; i < 5; ++i) client->send("datagram");
  scene.until([&] { return answers.count == 5; });
}

// The kernel takes no more datagrams, so that some wait in the Datagram.
void net_datagrams_unix(Scene& scene) {
  Echoes echoes(scene), none(scene);
  echoes.echoes = false;
  const Own<TemporaryFolder> folder;
  auto server = scene.get(Datagram::bind(scene.loop, folder->socket("s"), echoes));
  auto client = scene.get(Datagram::bind(scene.loop, folder->socket("c"), none));
  server->pause_reading();
  int sent = 0;
  for (; sent < 1000 && client->writable(); ++sent) client->send_to("datagram", server->address());
  server->resume_reading();
  scene.until([&] { return echoes.count == sent; });
}

// The output of the child process comes by a pipe.
void net_process(Scene& scene) {
  Teller output(scene);
  std::string text;
  output.when_data = [&](Stream&, std::span<std::byte> bytes) {
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  };
  ProcessOptions options;
  options.arguments = {"/bin/echo", "a line"};
  options.output = Redirect::pipe(output);
  bool ended = false;
  auto process =
      scene.get(Process::spawn(scene.loop, options, [&](Process&, ExitStatus) { ended = true; }));
  scene.until([&] { return ended && output.closed; });
  scene.check(text == "a line\n", "the output came whole");
}

}  // namespace reactor::allocations
