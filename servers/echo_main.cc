// SPDX-License-Identifier: MIT
#include "servers/echo.h"
#include "servers/program.h"

int main(int argc, char** argv) {
  servers::Parsed parsed = servers::parse_options(servers::Program::echo, argc, argv);
  if (parsed.exit_code) return *parsed.exit_code;
  const servers::Service service = parsed.options.service;
  return servers::run_program(servers::Program::echo, std::move(parsed.options),
                              [&service](reactor::prefork::Worker& worker) {
                                return servers::serve_echo(worker, service);
                              });
}
