// SPDX-License-Identifier: MIT
// Texts holds the options as text. take() turns them into Options.
#pragma once

#include <string>
#include <vector>

#include "servers/settings/options.h"

namespace servers {

// Each text comes from the command line, the environment or a file.
struct Texts {
  std::vector<std::string> bind;
  std::string workers = "auto";
  std::string backlog = "2048";
  std::string max_connections = "0";
  std::string backend = "auto";
  std::string model = "prefork";
  std::string max_children = "40";
  std::string reply = "raw";
  std::string udp_rate = "1000";
  std::string udp_low_ports = "off";
  std::string idle_timeout = "0";
  std::string reuse_port = "on";
  std::string proxy_protocol = "off";
  std::vector<std::string> proxy_allow_from;
  std::string tls_cert, tls_key;
  std::string tls_groups = default_tls_groups();
  std::string graceful_timeout = "30";
  std::string timeout = "30";
  std::string max_requests = "0";
  std::string pin = "none";
  std::string keep_alive = "75";
  std::string header_timeout = "60";
  std::string body_timeout = "60";
  std::string body_rate = "500";
  std::string write_timeout = "30";
  std::string max_line = "8192";
  std::string max_header = "16384";
  std::string max_fields = "100";
  std::string max_body = "1048576";
  std::string access_log = "off";
  std::string access_log_format = "combined";
  std::string log_level = "info";
  std::string config;
  bool check_config = false;
  std::string command;
};

// Returns the address at which a program listens by default.
[[nodiscard]] const char* default_bind(Program program);

// Reads the texts into `options`, except the command and the pid file of --signal. If `running` is
// not null, the settings in it are used and not looked up. It is null at the start. Throws
// BadValue.
void take(Program program, const Texts& texts, Options& options, const Fixed* running);

}  // namespace servers
