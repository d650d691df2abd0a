// SPDX-License-Identifier: MIT
// Feeds clients and faults to a whole http::Server. The first line of the input is the script of
// FakeNet. The rest is the bytes that each client sends, with a line "---" between two clients.
#include <fcntl.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "reactor/base/log.h"
#include "reactor/http/server.h"
#include "tests/fuzz/answers.h"
#include "tests/fuzz/fake_net.h"
#include "tests/fuzz/fuzz.h"

namespace {

using namespace reactor;
using fuzz::demand;
using http::Content;
using http::Request;
using http::Responder;
using http::Response;

constexpr int kIdleTurns = 20;  // after so many idle turns only timeouts can still happen
constexpr std::size_t kMostClients = 8;
constexpr std::size_t kBig = 200'000;

http::Limits limits() {
  http::Limits limits;
  limits.request_line = 200;
  limits.header_bytes = 400;
  limits.fields = 8;
  limits.body = 600;
  limits.chunk_extensions = 40;
  limits.trailer_bytes = 60;
  return limits;
}

// The path of a request selects what the handler does. For any other path the answer's body is the
// target.
class Application {
 public:
  [[nodiscard]] static http::Options options() {
    http::Options options;
    options.limits = limits();
    options.on_head = [](const Request& request, Response& response) {
      return on_head(request, response);
    };
    return options;
  }

  void handle(const Request& request, Response& response) {
    const std::string_view path = request.path();
    if (path == "/throw") throw std::runtime_error("as asked");
    if (path == "/later") {
      waiting_.push_back(response.defer());
    } else if (path == "/drop") {
      Responder dropped = response.defer();
    } else if (path == "/pieces") {
      answer_in_pieces(response.defer());
    } else if (path == "/stream" && request.has_body()) {
      collect(response.defer());
    } else if (path == "/echo" || path == "/stream") {
      response.body(request.body);
    } else if (path == "/big") {
      response.body(std::string(kBig, 'x'));
    } else {
      response.body(request.target);
    }
  }

  // Answers one deferred request. Returns false if there is none.
  bool go_on() {
    if (waiting_.empty()) return false;
    Responder responder = std::move(waiting_.back());
    waiting_.pop_back();
    Response response;
    response.body("/later");
    responder.send(response);
    return true;
  }

 private:
  struct Upload {
    Responder responder;
    std::string body;
  };

  static Content on_head(const Request& request, Response& response) {
    const std::string_view path = request.path();
    if (path == "/discard") return Content::discard;
    if (path == "/stream") return Content::stream;
    if (path != "/refuse") return Content::collect;
    response.status(403);
    return Content::refuse;
  }

  static void answer_in_pieces(Responder responder) {
    const Response response;
    responder.begin(response);
    responder.write("/pie");
    responder.write("");
    responder.write("ces");
    responder.finish();
  }

  void collect(Responder responder) {
    uploads_.push_back(std::make_unique<Upload>());
    Upload& upload = *uploads_.back();
    upload.responder = std::move(responder);
    upload.responder.on_body([&upload](std::string_view part, bool last) {
      upload.body += part;
      if (!last) return;
      Response response;
      response.body(upload.body);
      upload.responder.send(response);
    });
  }

  std::vector<Responder> waiting_;
  std::vector<std::unique_ptr<Upload>> uploads_;
};

// Returns the body that the application sends: the target's path, the request's content, or the
// target.
std::string_view expected_body(const fuzz::Asked& asked) {
  const std::string_view target = asked.target;
  const std::string_view path = target.substr(0, target.find('?'));
  if (path == "/echo" || path == "/stream") return asked.body;
  return path == "/later" || path == "/pieces" ? path : target;
}

void check_body(const fuzz::Asked& asked, const fuzz::Answer& answer) {
  if (!answer.whole || answer.status != 200 || asked.head || asked.target[0] != '/') return;
  if (answer.body.size() == kBig && asked.target.starts_with("/big")) return;
  demand(answer.body == expected_body(asked), "the answers are in order");
}

void check_client(const fuzz::FakeClient& client, std::string_view input, bool over) {
  const fuzz::Requests requests = fuzz::read_requests(input, limits());
  const std::vector<fuzz::Answer> answers = fuzz::read_answers(client.output, requests);
  const std::size_t asked = requests.whole.size();
  demand(answers.size() <= asked + 1, "no answer without a request");
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (i < asked) check_body(requests.whole[i], answers[i]);
    demand(answers[i].whole || i + 1 == answers.size(), "only the last answer is cut off");
  }
  if (client.reset || !over) return;
  demand(answers.empty() || answers.back().whole, "answers are whole");
  const bool ended = !answers.empty() && answers.back().closes;
  demand(ended || answers.size() >= asked, "each request is answered");
  if (requests.refusal == 0 || answers.size() <= asked) return;
  // Content that the handler refuses at the head is never read, so its errors are never found.
  const bool at_head = requests.broken.substr(0, requests.broken.find('?')) == "/refuse";
  demand(answers.back().status == (at_head ? 403 : requests.refusal), "the right status");
}

std::vector<std::string_view> split(std::string_view text) {
  constexpr std::string_view kBetween = "\n---\n";
  std::vector<std::string_view> parts;
  while (parts.size() < kMostClients) {
    const std::size_t at = text.find(kBetween);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) break;
    text.remove_prefix(at + kBetween.size());
  }
  return parts;
}

void ignore_log(void*, LogLevel, std::string_view) noexcept {}

// A listening socket that is always ready, because one client waits in its queue and is never
// accepted.
struct Listening {
  Listening()
      : socket(Socket::listen(Address::loopback(0), {}).value()),
        client(Socket::connect(socket.local().value()).value()) {}
  Socket socket;
  Socket client;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t line = std::min(text.find('\n'), size);
  const auto inputs = split(text.substr(std::min(line + 1, size)));
  set_log_sink(ignore_log, nullptr);

  fuzz::FakeNet net(text.substr(0, line), inputs);
  bool over = false;
  {
    LoopOptions loop_options;
    loop_options.backend = Backend::select;
    loop_options.slow_callback = Duration::zero();
    Loop loop(std::move(loop_options));
    Application application;
    Listening listening;
    std::vector<Socket> sockets;
    sockets.push_back(std::move(listening.socket));
    const auto server = http::Server::adopt(
                            loop, std::move(sockets),
                            [&application](const Request& request, Response& response) {
                              application.handle(request, response);
                            },
                            Application::options())
                            .value();
    std::size_t calls = 0;
    for (int idle = 0; idle < kIdleTurns && !over; ++idle) {
      loop.run_once(Duration::zero()).value();
      if (std::exchange(calls, net.calls()) != net.calls()) idle = 0;
      over = net.all_accepted() && !application.go_on() && server->connections() == 0;
    }
    // A listener without free descriptors pauses, so clients that were not accepted prove nothing.
    demand(over || !net.all_accepted(), "every connection ends");
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const fuzz::FakeClient& client = net.clients()[i];
    if (client.fd >= 0) check_client(client, inputs[i], over);
  }
  for (const fuzz::FakeClient& client : net.clients()) {
    demand(client.fd < 0 || ::fcntl(client.fd, F_GETFD) < 0, "no descriptor is left open");
  }
  return 0;
}
