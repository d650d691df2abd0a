// SPDX-License-Identifier: MIT
#include "servers/http_ok.h"
#include "servers/program.h"

int main(int argc, char** argv) {
  return servers::run_program(servers::Program::http_ok, argc, argv, &servers::serve_http_ok);
}
