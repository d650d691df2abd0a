// SPDX-License-Identifier: MIT
// The answers in what a client got, and the requests in what it sent.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "reactor/http/limits.h"

namespace reactor::fuzz {

struct Asked {
  std::string target;
  std::string body;
  bool head = false;
  bool last = false;  // the client asks for the end of the connection
  bool tunnel = false;
};

struct Requests {
  std::vector<Asked> whole;
  int refusal = 0;     // the status of the error behind them
  std::string broken;  // the target of a request whose content has that error
};

// As RequestParser and ChunkedDecoder read them, when all of the input is there.
Requests read_requests(std::string_view input, const http::Limits& limits);

struct Answer {
  int status = 0;
  bool closes = false;  // Connection: close
  bool whole = false;
  std::string body;
};

// Final answers, in order; ends the program where they are no HTTP/1.1. The last one may be cut
// off.
std::vector<Answer> read_answers(std::string_view output, const Requests& requests);

}  // namespace reactor::fuzz
