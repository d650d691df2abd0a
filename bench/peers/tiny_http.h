// SPDX-License-Identifier: MIT
// This is the least HTTP that answers the load client, so that a peer's row shows its event loop
// and streams, not a parser: heads are found by their blank line, fields are not parsed, and the
// answer is a constant. A real server of the same library is slower.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace bench {

struct Answers {
  std::string text;       // to be sent in one piece
  std::size_t taken = 0;  // bytes of the input that were whole requests
  bool close = false;     // after the text was sent
};

// Answers each whole request in `input`; `answers` is reused, so that nothing is allocated.
inline void answer_requests(std::string_view input, Answers& answers) {
  constexpr std::string_view kAnswer =
      "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
      "Content-Length: 3\r\n\r\nOK\n";
  constexpr std::string_view kBlankLine = "\r\n\r\n";
  answers.text.clear();
  answers.taken = 0;
  answers.close = false;
  for (;;) {
    const std::size_t end = input.find(kBlankLine, answers.taken);
    if (end == std::string_view::npos) return;
    const std::string_view head = input.substr(answers.taken, end - answers.taken);
    answers.text += kAnswer;
    answers.close |= head.ends_with("Connection: close");
    answers.taken = end + kBlankLine.size();
  }
}

}  // namespace bench
