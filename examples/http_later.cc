// SPDX-License-Identifier: MIT
// Gives answers that take time. /slow answers after a second, without holding up other clients.
// /events sends the time every second until the client leaves. POST /count counts the bytes of the
// request's content without keeping them.
#include <csignal>
#include <ctime>
#include <iostream>
#include <list>
#include <string>

#include "reactor/http/event_stream.h"
#include "reactor/http/server.h"

namespace http = reactor::http;
using std::chrono::seconds;

struct Wait {  // one for each /slow
  http::Responder responder;
  reactor::Timer timer;
};

struct Upload {  // one for each /count
  http::Responder responder;
  std::size_t bytes = 0;
};

int main() {
  reactor::Loop loop;
  std::list<Wait> waits;
  std::list<Upload> uploads;
  std::list<http::EventStream> listeners;

  http::Options options;
  options.limits.body = std::uint64_t{1} << 40;
  options.on_head = [](const http::Request& request, http::Response&) {
    return request.path() == "/count" ? http::Content::stream : http::Content::collect;
  };
  const auto handle = [&](const http::Request& request, http::Response& response) {
    if (request.path() == "/slow") {
      const auto wait = waits.emplace(waits.end(), response.defer());
      wait->timer = loop.after(seconds(1), [&, wait] {
        wait->responder.send(http::Response().body("at last\n"));
        waits.erase(wait);
      });
    } else if (request.path() == "/count") {
      const auto upload = uploads.emplace(uploads.end(), response.defer());
      upload->responder.on_close([&, upload] { uploads.erase(upload); });
      upload->responder.on_body([&, upload](std::string_view part, bool last) {
        upload->bytes += part.size();
        if (!last) return;
        upload->responder.send(http::Response().body(std::to_string(upload->bytes) + "\n"));
        uploads.erase(upload);
      });
    } else if (request.path() == "/events") {
      const auto listener = listeners.emplace(listeners.end(), response.defer());
      listener->on_close([&, listener] { listeners.erase(listener); });
    } else {
      response.status(404).body("/slow, /count or /events\n");
    }
  };
  auto server =
      http::Server::listen(loop, reactor::Address::loopback(0), handle, std::move(options)).value();
  std::cout << "listening on " << server->addresses().front().to_string() << std::endl;

  reactor::Timer clock = loop.every(seconds(1), [&] {
    for (http::EventStream& listener : listeners) listener.send(std::to_string(std::time(nullptr)));
  });
  auto quit = loop.on_signal(SIGTERM, [&] {
    listeners.clear();
    server->drain([&] { loop.stop(); });
  });
  loop.run().value();
}
