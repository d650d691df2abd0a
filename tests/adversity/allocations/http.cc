// SPDX-License-Identifier: MIT
// Allocation scenarios of http::Server.
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "reactor/http/access_log.h"
#include "reactor/http/event_stream.h"
#include "reactor/http/request.h"
#include "reactor/http/responder.h"
#include "reactor/http/response.h"
#include "reactor/http/server.h"
#include "tests/adversity/allocations/handlers.h"
#include "tests/adversity/allocations/scenarios.h"
#include "tests/adversity/allocations/scene.h"
#include "tests/support/temporary_folder.h"

namespace reactor::allocations {

using http::Request;
using http::Response;

namespace {

std::unique_ptr<http::Server> serve(Scene& scene, http::Handler handler,
                                    http::Options options = {}) {
  options.transport.listen.defer_accept = std::chrono::seconds(0);
  options.drain_spread = Duration::zero();
  return scene.get(http::Server::listen(scene.loop, Address::loopback(0), std::move(handler),
                                        std::move(options)));
}

Address address_of(const http::Server& server) {
  const Unfailing unfailing;
  return server.addresses().at(0);
}

// Sends a request, and runs turns until the answer contains `text`. A status other than 200 means
// that something failed.
void ask(Client& client, std::string_view request, std::string_view text) {
  client.write(request);
  client.await("HTTP/1.1 ");
  try {
    client.await(text);
  } catch (const Wrong&) {
    if (client.got().find("HTTP/1.1 500") == std::string::npos) throw;
    throw Told{std::make_error_code(std::errc::io_error)};
  }
}

void drain(Scene& scene, http::Server& server) {
  bool drained = false;
  server.drain([&] { drained = true; });
  scene.until([&] { return drained; });
}

}  // namespace

// Sends requests with and without content, alone and pipelined, and one that is refused.
void http_requests(Scene& scene) {
  auto server = serve(scene, [](const Request& request, Response& response) {
    response.header("X-Name", "a value that is longer than what a string holds in itself");
    response.body(request.body.empty() ? "answer" : request.body);
  });
  Client client(scene, address_of(*server));
  ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "answer");
  ask(client,
      "POST /1 HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"
      "POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nchunk\r\n0\r\n\r\n",
      "chunk");
  ask(client, "GET /long", "chunk");
  ask(client, "er HTTP/1.1\r\nHost: a\r\n\r\n", "answer");
  drain(scene, *server);
  client.await_end();
  Client wrong(scene, address_of(*serve(scene, [](const Request&, Response&) {})));
}

// Sends answers that are too large for the kernel's buffers to a client that reads late.
void http_large_answers(Scene& scene) {
  static const std::string content(3'000'000, 'x');
  auto server = serve(scene, [](const Request&, Response& response) { response.body(content); });
  Client client(scene, address_of(*server));
  client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
  for (int turns = 0; turns < 3; ++turns) scene.get(scene.loop.poll());
  client.await_end();
  const std::string& got = client.got();
  const bool failed = got.find("HTTP/1.1 500") != std::string::npos || got.empty();
  if (failed) throw Told{std::make_error_code(std::errc::io_error)};
  scene.check(got.size() - got.find("\r\n\r\n") - 4 == content.size(), "a part of an answer");
}

// Answers later and in pieces, and reads the request's content as it comes.
void http_responders(Scene& scene) {
  std::vector<http::Responder> later;
  std::string body;
  http::Options options;
  options.on_head = [](const Request&, Response&) { return http::Content::stream; };
  auto server = serve(
      scene,
      [&](const Request& request, Response& response) {
        later.push_back(response.defer());
        if (!request.has_body()) return;
        later.back().on_body([&](std::string_view part, bool last) {
          body += part;
          if (!last) return;
          later.back().begin(Response());
          later.back().write(body);
          later.back().finish();
        });
        later.back().on_close([] {});
        later.back().on_drain([] {});
      },
      std::move(options));
  Client client(scene, address_of(*server));
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  scene.until([&] {
    client.read();
    if (client.got().find(" 500 ") != std::string::npos || client.over()) {
      throw Told{std::make_error_code(std::errc::io_error)};
    }
    return !later.empty();
  });
  Response answer;
  answer.body("later");
  later.back().send(answer);
  client.await("later");
  ask(client, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345", "later");
  ask(client, "67890", "a\r\n1234567890\r\n0\r\n\r\n");
}

void http_events(Scene& scene) {
  std::unique_ptr<http::EventStream> events;
  auto server = serve(scene, [&](const Request&, Response& response) {
    events = std::make_unique<http::EventStream>(response.defer());
    events->on_close([&] { events.reset(); });
    events->send("42", "temperature", "id");
    events->retry(std::chrono::milliseconds(1000));
  });
  Client client(scene, address_of(*server));
  ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "data: 42\n\n");
  if (events == nullptr) throw Told{std::make_error_code(std::errc::io_error)};
  static constexpr std::string_view kLong =
      "an event that is longer than the events before it, so that it needs memory of its own: more "
      "than what the text of those events has left";
  try {
    events->send(kLong);
  } catch (const std::bad_alloc&) {
  }
  events->send("one\ntwo");
  events->comment("still there");
  client.await(": still there");
  const std::string& got = client.got();
  const std::size_t first = got.find(kLong);
  scene.check(got.find("\r\ndata: one\ndata: two\n\n") != std::string::npos, "a part of an event");
  scene.check(first == got.npos || got.substr(first + kLong.size(), 2) == "\n\n",
              "a part of an event that failed");
  events.reset();
}

void http_upgrade(Scene& scene) {
  Echo echo;
  auto server =
      serve(scene, [&](const Request&, Response& response) { response.upgrade("echo", echo); });
  Client client(scene, address_of(*server));
  ask(client, "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n",
      "HTTP/1.1 101");
  client.write("text");
  client.await("\r\n\r\ntext");
}

void http_access_log(Scene& scene) {
  const Own<TemporaryFolder> folder;
  const auto log = scene.get(http::AccessLog::open(
      scene.loop, {.path = folder->file("log"), .batch_time = std::chrono::milliseconds(1)}));
  http::Options options;
  options.access_log = log.get();
  auto server = serve(
      scene, [](const Request&, Response& response) { response.body("answer"); },
      std::move(options));
  Client client(scene, address_of(*server));
  ask(client, "GET / HTTP/1.1\r\nHost: a\r\nUser-Agent: b\r\n\r\n", "answer");
  scene.get(log->reopen());
  Client wrong(scene, address_of(*server));
  wrong.write("GET \x01 HTTP/1.1\r\n\r\n");
  wrong.await("HTTP/1.1 400");
  log->flush();
}

// A slow client gets its 408, or its connection ends. Nothing leaves run().
void http_timeout(Scene& scene) {
  const Own<TemporaryFolder> folder;
  const auto log =
      scene.get(http::AccessLog::open(scene.loop, {.path = folder->file("log"), .format = {}}));
  http::Options options;
  options.access_log = log.get();
  options.body_timeout = std::chrono::milliseconds(1);
  options.body_rate = 0;
  auto server = serve(
      scene, [](const Request&, Response&) {}, std::move(options));
  Client client(scene, address_of(*server));
  client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n12345");
  scene.until([&] { return server->accepted() == 1; });
  try {
    client.await_end();
  } catch (const LeftRun&) {
    throw Wrong("a failure of one connection left run()");
  }
}

// A limit that could not be set does not count.
void http_limit(Scene& scene) {
  bool reached = false;
  auto server = serve(scene, [](const Request&, Response& response) { response.body("answer"); });
  try {
    server->set_limit(1, [&reached] { reached = true; });
  } catch (const std::bad_alloc&) {
  }
  Client client(scene, address_of(*server));
  ask(client, "GET / HTTP/1.1\r\nHost: a\r\n\r\n", "answer");
}

void http_end_in_handler(Scene& scene) {
  std::unique_ptr<http::Server> server;
  server = serve(scene, [&](const Request&, Response&) { server.reset(); });
  Client client(scene, address_of(*server));
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  client.await_end();
}

// A handler that catches std::bad_alloc goes on with a Response of whole fields. One that does not
// leaves nothing behind in the answers of other connections.
void http_fields(Scene& scene) {
  static constexpr std::string_view kShort =
      "X-Name: a value that is longer than a string holds\r\n";
  static const std::string long_field = "X-Name: " + std::string(300, 'x') + "\r\n";
  const auto value_of = [](std::string_view field) { return field.substr(8, field.size() - 10); };
  Echo echo;
  bool torn = false;
  auto server = serve(scene, [&](const Request& request, Response& response) {
    response.body_in_place("end");
    if (request.path() == "/throw") response.header("X-Name", value_of(kShort));
    if (request.path() == "/catch") {
      http::PreparedFields prepared;
      try {
        static_cast<void>(prepared.add("X-Name", value_of(kShort)));
        response.header("X-Name", value_of(long_field));
      } catch (const std::bad_alloc&) {
      }
      torn = !prepared.text().empty() && prepared.text() != kShort;
    }
    if (request.path() == "/upgrade") {
      try {
        response.upgrade(value_of(long_field), echo);
      } catch (const std::bad_alloc&) {
      }
    }
  });
  for (const std::string_view path : {"/throw", "/plain", "/catch", "/plain", "/upgrade"}) {
    Client client(scene, address_of(*server));
    client.write("GET ");
    client.write(path);
    client.write(" HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: a\r\n\r\n");
    client.await("\r\n\r\n");
    const Unfailing unfailing;
    const std::string& got = client.got();
    const std::size_t name = got.find("X-Name");
    if (name != got.npos) {
      const std::string_view field = path == "/catch" ? std::string_view(long_field) : kShort;
      scene.check(path != "/plain", "a field of another answer");
      scene.check(got.compare(name, field.size(), field) == 0, "a part of a field");
    }
    scene.check(!torn, "a part of a prepared field");
    scene.check(got.find(" 101 ") == got.npos || got.find("\r\nUpgrade: x") != got.npos,
                "an upgrade without its field");
  }
}

}  // namespace reactor::allocations
