// SPDX-License-Identifier: MIT
// Parsers for the answers that a client got and the requests that it sent.
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
  bool last = false;  // the client asks to close the connection
  bool tunnel = false;
};

struct Requests {
  std::vector<Asked> whole;
  int refusal = 0;     // the status of the error after these requests
  std::string broken;  // the target of a request whose content has that error
};

// Reads requests like RequestParser and ChunkedDecoder, with all of the input at hand.
Requests read_requests(std::string_view input, const http::Limits& limits);

struct Answer {
  int status = 0;
  bool closes = false;  // Connection: close
  bool whole = false;
  std::string body;
};

// Returns the final answers in order. Ends the program if they are not valid HTTP/1.1. The last one
// may be cut off.
std::vector<Answer> read_answers(std::string_view output, const Requests& requests);

}  // namespace reactor::fuzz
