// SPDX-License-Identifier: MIT
// Prints the verdicts of llhttp.
#include <llhttp.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include "tests/differential/verdict.h"

namespace {

using reactor::differential::Message;
using reactor::differential::Verdict;

// The callbacks' state for one stream.
struct Reading {
  Verdict verdict;
  Message message;
  bool inside = false;  // a message has begun
  bool named = false;   // a field's name has begun, but not its value
};

Reading& reading(llhttp_t* parser) { return *static_cast<Reading*>(parser->data); }

int on_begin(llhttp_t* parser) {
  reading(parser).message = {};
  reading(parser).inside = true;
  return 0;
}

int on_method(llhttp_t* parser, const char* at, size_t size) {
  reading(parser).message.method.append(at, size);
  return 0;
}

int on_url(llhttp_t* parser, const char* at, size_t size) {
  reading(parser).message.target.append(at, size);
  return 0;
}

// The same callbacks report the trailers, while this flag of the parser is set.
bool trailing(const llhttp_t* parser) { return (parser->flags & F_TRAILING) != 0; }

int on_field(llhttp_t* parser, const char* at, size_t size) {
  Reading& own = reading(parser);
  if (trailing(parser)) return 0;
  if (!own.named) own.message.fields.emplace_back();
  own.named = true;
  own.message.fields.back().first.append(at, size);
  return 0;
}

int on_value(llhttp_t* parser, const char* at, size_t size) {
  Reading& own = reading(parser);
  if (trailing(parser)) return 0;
  own.named = false;
  own.message.fields.back().second.append(at, size);
  return 0;
}

int on_value_end(llhttp_t* parser) {
  reading(parser).named = false;
  return 0;
}

int on_head(llhttp_t* parser) {
  reading(parser).message.minor = parser->http_minor;
  return 0;
}

int on_body(llhttp_t* parser, const char* at, size_t size) {
  reading(parser).message.body.append(at, size);
  return 0;
}

int on_complete(llhttp_t* parser) {
  Reading& own = reading(parser);
  own.verdict.messages.push_back(std::move(own.message));
  own.inside = false;
  if (llhttp_should_keep_alive(parser) != 0 && parser->upgrade == 0) return 0;
  own.verdict.end = "closed";
  return HPE_PAUSED;
}

llhttp_settings_t make_settings() {
  llhttp_settings_t settings;
  llhttp_settings_init(&settings);
  settings.on_message_begin = on_begin;
  settings.on_method = on_method;
  settings.on_url = on_url;
  settings.on_header_field = on_field;
  settings.on_header_value = on_value;
  settings.on_header_value_complete = on_value_end;
  settings.on_headers_complete = on_head;
  settings.on_body = on_body;
  settings.on_message_complete = on_complete;
  return settings;
}

void trim_values(Verdict& verdict) {
  for (Message& message : verdict.messages) {
    for (auto& [name, value] : message.fields) {
      while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.pop_back();
    }
  }
}

Verdict judge(std::string_view text) {
  static const llhttp_settings_t settings = make_settings();
  llhttp_t parser;
  Reading own;
  llhttp_init(&parser, HTTP_REQUEST, &settings);
  parser.data = &own;
  const llhttp_errno_t error = llhttp_execute(&parser, text.data(), text.size());
  Verdict& verdict = own.verdict;
  if (verdict.end != "closed") {
    if (error == HPE_PAUSED_UPGRADE) {
      verdict.end = "closed";
    } else if (error != HPE_OK) {
      verdict.end = "error";
      verdict.status = 400;
      verdict.reason = llhttp_errno_name(error);
      verdict.reason += std::string(": ") + llhttp_get_error_reason(&parser);
    } else if (own.inside) {
      verdict.end = "incomplete";
    }
  }
  trim_values(verdict);
  return verdict;
}

}  // namespace

int main() { return reactor::differential::print_verdicts(judge); }
