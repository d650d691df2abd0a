// SPDX-License-Identifier: MIT
#include "servers/settings/texts.h"

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <sstream>

#include "reactor/http/http_options.h"
#include "reactor/prefork/pid_file.h"
#include "servers/settings/values.h"

namespace servers {
namespace {

constexpr std::uint64_t kMostSeconds = 24ULL * 24 * 60 * 60;  // the limit of a Stream's timer
constexpr std::uint64_t kMostHead = 1ULL << 30;               // the limit of http::Limits
constexpr std::uint64_t kMostFields = 65535;
constexpr std::uint64_t kMostBody = INT64_MAX;

reactor::Duration seconds(const std::string& flag, const std::string& text,
                          std::uint64_t least = 0) {
  return std::chrono::seconds(parse_number(flag, text, least, kMostSeconds));
}

std::vector<std::string> binds_of(Program program, const Texts& texts) {
  if (!texts.bind.empty()) return texts.bind;
  const char* const value = std::getenv("REACTOR_BIND");
  if (value == nullptr || *value == '\0') return {default_bind(program)};
  std::vector<std::string> parts;
  std::istringstream stream(value);
  for (std::string part; std::getline(stream, part, ',');) parts.push_back(part);
  return parts;
}

// Checks whether the log can be written. This is done at the start, and not in each worker.
void check_access_log(const std::string& flag, const std::string& path) {
  const reactor::Result<> writable = reactor::http::AccessLog::check(path);
  if (writable) return;
  throw BadValue(flag, path, writable.error().message(),
                 "give a file that this user may write, - for standard output, or off");
}

void take_http(const Texts& texts, Service& service) {
  service.keep_alive = seconds("--keep-alive", texts.keep_alive);
  service.header_timeout = seconds("--header-timeout", texts.header_timeout, 1);
  service.body_timeout = seconds("--body-timeout", texts.body_timeout, 1);
  service.body_rate =
      static_cast<std::uint32_t>(parse_number("--body-rate", texts.body_rate, 0, UINT32_MAX));
  service.write_timeout = seconds("--write-timeout", texts.write_timeout);
  reactor::http::Limits& limits = service.limits;
  limits.request_line = parse_number("--max-line", texts.max_line, 1, kMostHead);
  limits.header_bytes = parse_number("--max-header", texts.max_header, 1, kMostHead);
  limits.fields = parse_number("--max-fields", texts.max_fields, 1, kMostFields);
  limits.body = parse_number("--max-body", texts.max_body, 0, kMostBody);
  check_content_type("--content-type", service.content_type);
  const auto format = parse_access_format("--access-log-format", texts.access_log_format);
  if (texts.access_log == "off") return;
  check_file_name("--access-log", texts.access_log, "give a file, - for standard output, or off");
  check_access_log("--access-log", texts.access_log);
  service.access_log = {.path = texts.access_log, .format = format};
}

bool is_for_datagrams(const reactor::prefork::Bind& bind) {
  const auto* const endpoint = std::get_if<reactor::Endpoint>(&bind);
  return endpoint != nullptr && endpoint->kind == reactor::Endpoint::Kind::datagram;
}

// Returns whether the address is safe from forged PROXY headers: unix sockets have permissions, and
// datagrams have no such header.
bool is_closed(const reactor::prefork::Bind& bind) {
  const auto* const endpoint = std::get_if<reactor::Endpoint>(&bind);
  return endpoint != nullptr && (endpoint->address.is_unix() || is_for_datagrams(bind));
}

void check_model(const Texts& texts, const reactor::prefork::Options& options) {
  if (options.model != reactor::prefork::Model::fork) return;
  const auto found =
      std::find_if(options.addresses.begin(), options.addresses.end(), is_for_datagrams);
  if (found == options.addresses.end()) return;
  throw BadValue("--model", texts.model,
                 "datagrams (--bind " + to_string(*found) + ") have no connection",
                 "use --model prefork, or bind streams only");
}

// Reads the options about the PROXY protocol. A header may claim any address, so the user has to
// say from which peers headers are trusted.
reactor::ProxyOptions take_proxy(const Texts& texts,
                                 const std::vector<reactor::prefork::Bind>& binds) {
  reactor::ProxyOptions proxy;
  proxy.protocol = parse_proxy_protocol("--proxy-protocol", texts.proxy_protocol);
  for (const std::string& text : texts.proxy_allow_from) {
    for (const reactor::Network& network : parse_networks("--proxy-allow-from", text)) {
      proxy.allow_from.push_back(network);
    }
  }
  const bool open = !std::all_of(binds.begin(), binds.end(), is_closed);
  if (proxy.protocol != reactor::ProxyProtocol::off && open && proxy.allow_from.empty()) {
    throw BadValue(
        "--proxy-protocol", texts.proxy_protocol, "no proxy is allowed to send the header",
        "name the proxies, like --proxy-allow-from 10.0.0.0/8, or listen on unix sockets only");
  }
  return proxy;
}

// Takes the settings that may have to be looked up elsewhere: the addresses and the workers'
// identity.
void take_fixed(Program program, const Texts& texts, Options& options, const Fixed* running) {
  reactor::prefork::Options& prefork = options.prefork;
  options.binds = binds_of(program, texts);
  for (const std::string& bind : options.binds) {
    const std::vector<reactor::prefork::Bind> addresses =
        parse_bind("--bind", bind, program == Program::echo,
                   running == nullptr ? Names::looked_up : Names::ignored);
    prefork.addresses.insert(prefork.addresses.end(), addresses.begin(), addresses.end());
  }
  if (running != nullptr) {
    prefork.addresses = running->addresses;
    prefork.identity = running->identity;
  } else if (!options.user.empty() || !options.group.empty()) {
    prefork.identity = parse_identity(options.user, options.group);
  }
}

}  // namespace

const char* default_bind(Program program) {
  return program == Program::echo ? "127.0.0.1:50007" : "127.0.0.1:9090";
}

void take(Program program, const Texts& texts, Options& options, const Fixed* running) {
  reactor::prefork::Options& prefork = options.prefork;
  const bool datagrams = program == Program::echo;
  take_fixed(program, texts, options, running);
  prefork.workers = parse_workers("--workers", texts.workers);
  if (program == Program::http_ok) prefork.listen = reactor::http::Options::listening();
  prefork.listen.backlog = static_cast<int>(parse_number("--backlog", texts.backlog, 1, 65535));
  prefork.backend = parse_backend("--backend", texts.backend);
  prefork.model = parse_model("--model", texts.model);
  prefork.max_children = parse_number("--max-children", texts.max_children, 1, 1'000'000);
  check_model(texts, prefork);
  prefork.datagrams = datagrams && prefork.model == reactor::prefork::Model::prefork;
  prefork.reuse_port = parse_switch("--reuse-port", texts.reuse_port);
  prefork.graceful_timeout = seconds("--graceful-timeout", texts.graceful_timeout);
  prefork.timeout = seconds("--timeout", texts.timeout);
  prefork.processors = parse_processors("--pin", texts.pin);
  prefork.max_requests = parse_number("--max-requests", texts.max_requests, 0, INT64_MAX);
  options.service.proxy = take_proxy(texts, prefork.addresses);
  options.service.tls = read_tls(texts.tls_cert, texts.tls_key, texts.tls_groups);
  options.service.max_connections =
      parse_number("--max-connections", texts.max_connections, 0, 10'000'000);
  if (options.service.max_connections > 0) {
    prefork.max_children = std::min(prefork.max_children, options.service.max_connections);
  }
  options.service.reply = parse_reply("--reply", texts.reply);
  options.service.udp = {.low_ports = parse_switch("--udp-low-ports", texts.udp_low_ports),
                         .rate = static_cast<std::uint32_t>(
                             parse_number("--udp-rate", texts.udp_rate, 0, 1'000'000'000))};
  options.service.idle_timeout = seconds("--idle-timeout", texts.idle_timeout);
  options.log_level = parse_level("--log-level", texts.log_level);
  check_file_name("--log", options.log,
                  "give a file, or - for standard error; --log-level off logs nothing");
  check_file_name("--pid", options.pid, "leave it out for no pid file");
  if (program == Program::http_ok) take_http(texts, options.service);
}

}  // namespace servers
