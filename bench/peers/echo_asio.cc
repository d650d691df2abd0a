// SPDX-License-Identifier: MIT
// Runs an echo server with coroutines on Asio without Boost, in one thread, as its documentation
// shows it.
#define ASIO_STANDALONE 1
#include <array>
#include <asio.hpp>
#include <csignal>
#include <iostream>

namespace {

using asio::ip::tcp;

asio::awaitable<void> echo(tcp::socket socket) {
  std::array<char, 16 * 1024> buffer;
  try {
    for (;;) {
      const std::size_t count =
          co_await socket.async_read_some(asio::buffer(buffer), asio::use_awaitable);
      co_await asio::async_write(socket, asio::buffer(buffer, count), asio::use_awaitable);
    }
  } catch (const std::system_error&) {
  }
}

asio::awaitable<void> serve(tcp::acceptor& acceptor) {
  for (;;) {
    tcp::socket socket = co_await acceptor.async_accept(asio::use_awaitable);
    socket.set_option(tcp::no_delay(true));
    asio::co_spawn(acceptor.get_executor(), echo(std::move(socket)), asio::detached);
  }
}

}  // namespace

int main() {
  asio::io_context context(1);
  tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
  std::cout << "listening on 127.0.0.1:" << acceptor.local_endpoint().port() << std::endl;
  asio::signal_set quit(context, SIGTERM);
  quit.async_wait([&](auto, auto) { context.stop(); });
  asio::co_spawn(context, serve(acceptor), asio::detached);
  context.run();
}
