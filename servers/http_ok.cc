// SPDX-License-Identifier: MIT
#include "servers/http_ok.h"

#include <csignal>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include "reactor/base/log.h"
#include "reactor/http/server.h"
#include "servers/reload.h"

namespace servers {
namespace {

using reactor::http::AccessLog;

// The most bytes of answers that may be queued for a client that does not read them. After that its
// further requests have to wait. With one more answer the queue still has less than 8 KiB. A longer
// queue would allocate 16 KiB.
constexpr std::size_t kQueued = 7 * 1024;

// All methods except CONNECT, which a 200 would turn into a tunnel.
constexpr std::string_view kAllowed = "GET, HEAD, POST, PUT, DELETE, OPTIONS, TRACE, PATCH";

reactor::http::Options options_of(const Service& service, reactor::TransportFactory* transports,
                                  AccessLog* access_log) {
  reactor::http::Options http;
  http.limits = service.limits;
  if (service.keep_alive > reactor::Duration::zero()) http.keep_alive = service.keep_alive;
  http.header_timeout = service.header_timeout;
  http.body_timeout = service.body_timeout;
  http.body_rate = service.body_rate;
  http.transport.stream.write_timeout = service.write_timeout;
  http.transport.stream.high_water = kQueued;
  http.transport.stream.low_water = kQueued / 4;
  http.transport.max_connections = service.max_connections;
  http.transport.proxy = service.proxy;
  http.transport.transports = transports;
  http.access_log = access_log;
  // Bodies are not used, so they take no memory.
  http.on_head = [](const reactor::http::Request&, reactor::http::Response&) {
    return reactor::http::Content::discard;
  };
  return http;
}

// Returns null if there is no access log. Throws std::runtime_error if it can't be opened.
std::unique_ptr<AccessLog> open_access_log(reactor::Loop& loop, const Service& service) {
  if (!service.access_log) return nullptr;
  auto log = AccessLog::open(loop, *service.access_log);
  if (log) return std::move(*log);
  throw std::runtime_error("--access-log '" + service.access_log->path +
                           "': " + log.error().message() + "; let the workers' user write it");
}

void reopen(AccessLog& log, const std::string& path) {
  const reactor::Result<> done = log.reopen();
  if (done) return;
  REACTOR_LOG(error, "can't reopen " + path + ": " + done.error().message() +
                         "; going on with the old file");
}

}  // namespace

int serve_http_ok(reactor::prefork::Worker& worker, const Service& service) {
  const std::unique_ptr<AccessLog> access_log = open_access_log(worker.loop(), service);
  reactor::SignalWatcher rotation;
  if (access_log != nullptr) {
    const auto on_rotation = [&] { reopen(*access_log, service.access_log->path); };
    rotation = worker.loop().on_signal(SIGUSR1, on_rotation).value();
    rotation.unref();
  }
  const auto transports = make_transports(service.tls, {"http/1.1", "http/1.0"});
  const bool close = service.keep_alive == reactor::Duration::zero();
  reactor::http::PreparedFields fields;
  // These values were checked at the start of the program.
  static_cast<void>(fields.add("Content-Type", service.content_type));
  auto server = reactor::http::Server::adopt(
                    worker.loop(), worker.listeners(),
                    [&](const reactor::http::Request& request, reactor::http::Response& response) {
                      if (request.method == reactor::http::Method::connect) [[unlikely]] {
                        response.not_allowed(kAllowed);
                        return;
                      }
                      response.headers(fields).body_in_place(service.body);
                      if (close) response.close();
                    },
                    options_of(service, transports.get(), access_log.get()))
                    .value();
  follow_reloads(worker, service, transports.get());
  return worker.serve(*server);
}

}  // namespace servers
