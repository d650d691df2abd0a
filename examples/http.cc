// SPDX-License-Identifier: MIT
// HTTP in an application's own loop: answers /time and counts all other requests.
#include <csignal>
#include <ctime>
#include <iostream>
#include <string>

#include "reactor/http/server.h"

int main() {
  reactor::Loop loop;
  long others = 0;
  auto server =
      reactor::http::Server::listen(
          loop, reactor::Address::loopback(0),
          [&](const reactor::http::Request& request, reactor::http::Response& response) {
            if (request.path() == "/time") {
              response.content_type("text/plain").body(std::to_string(std::time(nullptr)) + "\n");
            } else {
              response.status(404).body(std::to_string(++others) + " such requests\n");
            }
          })
          .value();
  std::cout << "listening on " << server->addresses().front().to_string() << std::endl;
  auto quit = loop.on_signal(SIGTERM, [&] { server->drain([&] { loop.stop(); }); }).value();
  loop.run().value();
}
