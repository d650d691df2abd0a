// SPDX-License-Identifier: MIT
// Prints the verdicts of RequestParser and ChunkedDecoder.
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>

#include "reactor/http/internal/parse/body.h"
#include "reactor/http/internal/parse/parser.h"
#include "tests/differential/verdict.h"

namespace {

using reactor::differential::Message;
using reactor::differential::Verdict;
using reactor::http::ChunkedDecoder;
using reactor::http::Field;
using reactor::http::Limits;
using reactor::http::Method;
using reactor::http::ParseProgress;
using reactor::http::ParseResult;
using reactor::http::Request;
using reactor::http::RequestParser;

// The other parsers do not limit the length of a body.
Limits limits() {
  Limits limits;
  limits.body = std::numeric_limits<std::uint64_t>::max();
  return limits;
}

Message message_of(const Request& request) {
  Message message{std::string(request.method_token),
                  std::string(request.target),
                  request.minor_version,
                  {},
                  {}};
  for (const Field& field : request.fields) message.fields.emplace_back(field.name, field.value);
  return message;
}

// Takes the chunked body from the front of the text. On failure it returns false and has set
// verdict.end.
bool take_chunks(std::string_view& text, std::string& body, Verdict& verdict) {
  ChunkedDecoder decoder;
  while (true) {
    const ChunkedDecoder::Step step = decoder.next(text, limits());
    text.remove_prefix(step.consumed);
    body += step.data;
    if (step.state == ChunkedDecoder::State::done) return true;
    if (step.state == ChunkedDecoder::State::data) continue;
    const bool error = step.state == ChunkedDecoder::State::error;
    verdict.end = error ? "error" : "incomplete";
    verdict.reason = step.reason;
    verdict.status = step.status;
    return false;
  }
}

bool take_body(const Request& request, std::string_view& text, std::string& body,
               Verdict& verdict) {
  if (request.chunked) return take_chunks(text, body, verdict);
  if (request.content_length > text.size()) {
    verdict.end = "incomplete";
    return false;
  }
  const auto size = static_cast<std::size_t>(request.content_length);
  body = text.substr(0, size);
  text.remove_prefix(size);
  return true;
}

// Takes a message from the front of the text. Returns false if nothing more is to be read.
bool take_message(RequestParser& parser, std::string_view& text, Verdict& verdict) {
  ParseProgress progress;
  Request request;
  const ParseResult result = parser.parse(text, progress, request);
  if (!result.complete()) {
    verdict.end = result.error() ? "error" : "incomplete";
    verdict.reason = result.reason;
    verdict.status = result.status;
    return false;
  }
  text.remove_prefix(result.consumed);
  Message message = message_of(request);
  const bool tunnel = request.method == Method::connect;
  if (!tunnel && !take_body(request, text, message.body, verdict)) return false;
  verdict.messages.push_back(std::move(message));
  if (request.keep_alive && !tunnel && request.upgrade.empty()) return true;
  verdict.end = "closed";
  return false;
}

Verdict judge(std::string_view text) {
  RequestParser parser(limits());
  Verdict verdict;
  const std::size_t size = text.size();
  do {
    verdict.starts.push_back(size - text.size());
  } while (!text.empty() && take_message(parser, text, verdict));
  return verdict;
}

}  // namespace

int main() { return reactor::differential::print_verdicts(judge); }
