// SPDX-License-Identifier: MIT
#include "tests/fuzz/answers.h"

#include <cstdint>
#include <limits>
#include <utility>

#include "reactor/http/internal/parse/body.h"
#include "reactor/http/internal/parse/parser.h"
#include "tests/fuzz/fuzz.h"

namespace reactor::fuzz {
namespace {

using http::ChunkedDecoder;
using http::Limits;
using State = ChunkedDecoder::State;

// Moves chunked content from the front of `text` to `body`, without its framing.
ChunkedDecoder::Step take_chunks(std::string_view& text, std::string& body, const Limits& limits) {
  ChunkedDecoder decoder;
  ChunkedDecoder::Step step{.state = State::data};
  while (step.state == State::data) {
    step = decoder.next(text, limits);
    text.remove_prefix(step.consumed);
    body += step.data;
  }
  return step;
}

// Returns false if the content is incomplete or refused.
bool take_content(const http::Request& request, std::string_view& input, const Limits& limits,
                  Asked& asked, int& refusal) {
  if (asked.tunnel) return true;
  if (request.chunked) {
    const ChunkedDecoder::Step step = take_chunks(input, asked.body, limits);
    refusal = step.status;
    return step.state == State::done;
  }
  if (input.size() < request.content_length) return false;
  const auto size = static_cast<std::size_t>(request.content_length);
  asked.body = input.substr(0, size);
  input.remove_prefix(size);
  return true;
}

// Returns the value of a field, "" if there is none.
std::string_view field_of(std::string_view head, std::string_view name) {
  std::size_t at = head.find("\r\n");
  while (at != std::string_view::npos) {
    const std::string_view line = head.substr(at + 2, head.find("\r\n", at + 2) - at - 2);
    if (line.substr(0, name.size()) == name && line.substr(name.size(), 2) == ": ") {
      return line.substr(name.size() + 2);
    }
    at = head.find("\r\n", at + 2);
  }
  return {};
}

int status_of(std::string_view head) {
  demand(head.size() >= 13 && head.substr(0, 9) == "HTTP/1.1 " && head[12] == ' ', "status line");
  int status = 0;
  for (const char digit : head.substr(9, 3)) {
    demand(digit >= '0' && digit <= '9', "status line");
    status = status * 10 + (digit - '0');
  }
  return status;
}

std::size_t number_of(std::string_view digits) {
  std::size_t number = 0;
  for (const char digit : digits) {
    demand(digit >= '0' && digit <= '9', "Content-Length of digits");
    number = number * 10 + static_cast<std::size_t>(digit - '0');
  }
  return number;
}

void take_body(std::string_view head, std::string_view& output, Answer& answer) {
  const std::string_view length = field_of(head, "Content-Length");
  const std::string_view coding = field_of(head, "Transfer-Encoding");
  demand(length.empty() || coding.empty(), "one framing in an answer");
  if (!coding.empty()) {
    Limits limits;
    limits.body = std::numeric_limits<std::uint64_t>::max();
    const State state = take_chunks(output, answer.body, limits).state;
    demand(state != State::error, "an answer's chunks");
    answer.whole = state == State::done;
    return;
  }
  const std::size_t size = length.empty() ? output.size() : number_of(length);
  answer.body = output.substr(0, size);
  answer.whole = answer.body.size() == size;
  output.remove_prefix(answer.body.size());
}

}  // namespace

Requests read_requests(std::string_view input, const Limits& limits) {
  http::RequestParser parser(limits);
  Requests out;
  while (!input.empty()) {
    http::ParseProgress progress;
    http::Request request;
    const http::ParseResult result = parser.parse(input, progress, request);
    out.refusal = result.status;
    if (!result.complete()) break;
    input.remove_prefix(result.consumed);
    Asked asked{.target = std::string(request.target), .body = {}};
    asked.head = request.method == http::Method::head;
    asked.tunnel = request.method == http::Method::connect;
    asked.last = !request.keep_alive || asked.tunnel;
    if (!take_content(request, input, limits, asked, out.refusal)) {
      out.broken = asked.target;
      break;
    }
    out.whole.push_back(std::move(asked));
    if (out.whole.back().last) break;
  }
  return out;
}

std::vector<Answer> read_answers(std::string_view output, const Requests& requests) {
  std::vector<Answer> answers;
  while (!output.empty()) {
    const std::size_t end = output.find("\r\n\r\n");
    if (end == std::string_view::npos) break;  // cut off
    const std::string_view head = output.substr(0, end + 2);
    output.remove_prefix(end + 4);
    Answer answer{.status = status_of(head), .body = {}};
    if (answer.status < 200) continue;
    demand(answers.empty() || !answers.back().closes, "nothing behind the last answer");
    answer.closes = field_of(head, "Connection") == "close";
    const std::size_t index = answers.size();
    const bool to_head = index < requests.whole.size() && requests.whole[index].head;
    answer.whole = to_head || answer.status == 204 || answer.status == 304;
    if (!answer.whole) take_body(head, output, answer);
    answers.push_back(std::move(answer));
  }
  return answers;
}

}  // namespace reactor::fuzz
