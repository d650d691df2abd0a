// SPDX-License-Identifier: MIT
// Runs the echo of udp_echo.cc on libuv, as its manual advises: one buffer for all reads, and
// uv_udp_try_send(), which needs no request. usage: udp_libuv plain|mmsg     mmsg: UV_UDP_RECVMMSG
#include <netinet/in.h>
#include <uv.h>

#include <cstdio>
#include <string_view>
#include <vector>

namespace {

std::vector<char> g_buffer;

void on_datagram(uv_udp_t* socket, ssize_t size, const uv_buf_t* buffer, const sockaddr* from,
                 unsigned) {
  if (size < 0 || from == nullptr) return;  // an error, no more datagrams, or the end of a batch
  const uv_buf_t answer = uv_buf_init(buffer->base, static_cast<unsigned>(size));
  uv_udp_try_send(socket, &answer, 1, from);
}

}  // namespace

int main(int argc, char** argv) {
  const bool mmsg = argc > 1 && std::string_view(argv[1]) == "mmsg";
  g_buffer.resize((mmsg ? 20 : 1) * 65536);
  uv_loop_t loop;
  uv_udp_t socket;
  sockaddr_in address{};
  uv_loop_init(&loop);
  uv_udp_init_ex(&loop, &socket, AF_INET | (mmsg ? unsigned{UV_UDP_RECVMMSG} : 0U));
  uv_ip4_addr("127.0.0.1", 0, &address);
  if (uv_udp_bind(&socket, reinterpret_cast<const sockaddr*>(&address), 0) != 0) return 1;
  int length = sizeof address;
  uv_udp_getsockname(&socket, reinterpret_cast<sockaddr*>(&address), &length);
  std::printf("listening on udp:127.0.0.1:%d\n", ntohs(address.sin_port));
  std::fflush(stdout);
  uv_udp_recv_start(
      &socket,
      [](uv_handle_t*, std::size_t, uv_buf_t* buffer) {
        *buffer = uv_buf_init(g_buffer.data(), static_cast<unsigned>(g_buffer.size()));
      },
      &on_datagram);
  return uv_run(&loop, UV_RUN_DEFAULT);
}
