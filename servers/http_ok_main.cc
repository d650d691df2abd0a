// SPDX-License-Identifier: MIT
#include "servers/http_ok.h"
#include "servers/program.h"

int main(int argc, char** argv) {
  servers::Parsed parsed = servers::parse_options(servers::Program::http_ok, argc, argv);
  if (parsed.exit_code) return *parsed.exit_code;
  const servers::Service service = parsed.options.service;
  return servers::run_program(servers::Program::http_ok, std::move(parsed.options),
                              [&service](reactor::prefork::Worker& worker) {
                                return servers::serve_http_ok(worker, service);
                              });
}
