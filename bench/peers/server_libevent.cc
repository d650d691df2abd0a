// SPDX-License-Identifier: MIT
// Runs a small server on libevent's bufferevents, without its locks. usage: server_libevent
// http|echo [PORT]
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "bench/peers/tiny_http.h"

namespace {

bool g_echo = false;
bench::Answers g_answers;

void close_when_sent(bufferevent* connection, void*) {
  if (evbuffer_get_length(bufferevent_get_output(connection)) == 0) bufferevent_free(connection);
}

void on_event(bufferevent* connection, short, void*) { bufferevent_free(connection); }

void on_read(bufferevent* connection, void*) {
  evbuffer* const input = bufferevent_get_input(connection);
  if (g_echo) {
    bufferevent_write_buffer(connection, input);
    return;
  }
  const std::size_t size = evbuffer_get_length(input);
  const auto* const text = reinterpret_cast<const char*>(evbuffer_pullup(input, -1));
  bench::answer_requests({text, size}, g_answers);
  evbuffer_drain(input, g_answers.taken);
  if (g_answers.close) {
    bufferevent_setcb(connection, nullptr, close_when_sent, on_event, nullptr);
  }
  bufferevent_write(connection, g_answers.text.data(), g_answers.text.size());
}

void on_connection(evconnlistener* listener, evutil_socket_t fd, sockaddr*, int, void*) {
  event_base* const base = evconnlistener_get_base(listener);
  bufferevent* const connection = bufferevent_socket_new(base, fd, BEV_OPT_CLOSE_ON_FREE);
  bufferevent_setcb(connection, on_read, nullptr, on_event, nullptr);
  bufferevent_enable(connection, EV_READ | EV_WRITE);
}

}  // namespace

int main(int argc, char** argv) {
  g_echo = argc > 1 && std::strcmp(argv[1], "echo") == 0;
  std::signal(SIGPIPE, SIG_IGN);
  event_config* const config = event_config_new();
  event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
  event_base* const base = event_base_new_with_config(config);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<std::uint16_t>(argc > 2 ? std::atoi(argv[2]) : 0));
  evconnlistener* const listener = evconnlistener_new_bind(
      base, on_connection, nullptr, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, SOMAXCONN,
      reinterpret_cast<const sockaddr*>(&address), sizeof address);
  if (listener == nullptr) return 1;
  const evutil_socket_t fd = evconnlistener_get_fd(listener);
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  std::printf("listening on 0.0.0.0:%d\nready\n", ntohs(address.sin_port));
  std::fflush(stdout);
  return event_base_dispatch(base);
}
