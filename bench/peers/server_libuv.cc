// SPDX-License-Identifier: MIT
// Runs a small server on libuv, as its manual advises: one buffer for all reads, uv_try_write()
// first. usage: server_libuv http|echo [PORT]
#include <netinet/in.h>
#include <uv.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "bench/peers/tiny_http.h"

namespace {

bool g_echo = false;
std::vector<char> g_buffer(65536);
bench::Answers g_answers;

struct Connection {
  uv_tcp_t socket{};
  std::string rest;  // a request that is not whole yet
};

// The bytes that uv_try_write() did not take.
struct Write {
  uv_write_t request{};
  std::string data;
};

void close_connection(uv_stream_t* stream) {
  auto* const handle = reinterpret_cast<uv_handle_t*>(stream);
  if (uv_is_closing(handle) != 0) return;
  uv_close(handle, [](uv_handle_t* closed) { delete static_cast<Connection*>(closed->data); });
}

void send(uv_stream_t* stream, std::string_view data) {
  uv_buf_t buffer = uv_buf_init(const_cast<char*>(data.data()), static_cast<unsigned>(data.size()));
  const int sent = uv_try_write(stream, &buffer, 1);
  if (sent == static_cast<int>(data.size())) return;
  if (sent < 0 && sent != UV_EAGAIN) return close_connection(stream);
  auto* const write = new Write;
  write->data = data.substr(sent > 0 ? static_cast<std::size_t>(sent) : 0);
  write->request.data = write;
  buffer = uv_buf_init(write->data.data(), static_cast<unsigned>(write->data.size()));
  uv_write(&write->request, stream, &buffer, 1,
           [](uv_write_t* done, int) { delete static_cast<Write*>(done->data); });
}

void serve_http(Connection& connection, uv_stream_t* stream, std::string_view input) {
  const bool joined = !connection.rest.empty();
  if (joined) input = connection.rest.append(input);
  bench::answer_requests(input, g_answers);
  if (!g_answers.text.empty()) send(stream, g_answers.text);
  if (g_answers.close) return close_connection(stream);
  if (joined) {
    connection.rest.erase(0, g_answers.taken);
  } else if (g_answers.taken < input.size()) {
    connection.rest = input.substr(g_answers.taken);
  }
}

void on_read(uv_stream_t* stream, ssize_t size, const uv_buf_t* buffer) {
  if (size == 0) return;
  if (size < 0) return close_connection(stream);
  const std::string_view input(buffer->base, static_cast<std::size_t>(size));
  if (g_echo) {
    send(stream, input);
  } else {
    serve_http(*static_cast<Connection*>(stream->data), stream, input);
  }
}

void on_connection(uv_stream_t* listener, int status) {
  if (status < 0) return;
  auto* const connection = new Connection;
  uv_tcp_init(listener->loop, &connection->socket);
  connection->socket.data = connection;
  auto* const stream = reinterpret_cast<uv_stream_t*>(&connection->socket);
  if (uv_accept(listener, stream) != 0) return close_connection(stream);
  uv_read_start(
      stream,
      [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
        *buffer = uv_buf_init(g_buffer.data(), static_cast<unsigned>(g_buffer.size()));
      },
      on_read);
}

}  // namespace

int main(int argc, char** argv) {
  g_echo = argc > 1 && std::strcmp(argv[1], "echo") == 0;
  uv_loop_t* const loop = uv_default_loop();
  uv_tcp_t listener;
  uv_tcp_init(loop, &listener);
  sockaddr_in address{};
  uv_ip4_addr("0.0.0.0", argc > 2 ? std::atoi(argv[2]) : 0, &address);
  uv_tcp_bind(&listener, reinterpret_cast<const sockaddr*>(&address), 0);
  uv_tcp_nodelay(&listener, 1);  // accepted sockets inherit it
  if (uv_listen(reinterpret_cast<uv_stream_t*>(&listener), SOMAXCONN, on_connection) != 0) return 1;
  int size = sizeof address;
  uv_tcp_getsockname(&listener, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("listening on 0.0.0.0:%d\nready\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return uv_run(loop, UV_RUN_DEFAULT);
}
