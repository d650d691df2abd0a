// SPDX-License-Identifier: MIT
#include "servers/echo.h"
#include "servers/program.h"

int main(int argc, char** argv) {
  return servers::run_program(servers::Program::echo, argc, argv, &servers::serve_echo);
}
