// SPDX-License-Identifier: MIT
// A Verdict is what a server would make of one stream of bytes. It is printed as a line of JSON,
// with texts in hexadecimal. The programs for the other parsers print the same format.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace reactor::differential {

struct Message {
  std::string method;
  std::string target;
  int minor = 1;
  std::vector<std::pair<std::string, std::string>> fields;
  std::string body;
};

struct Verdict {
  std::vector<Message> messages;  // the complete ones
  // The offset of each message, and of the bytes after the last one. Only our own program fills
  // this.
  std::vector<std::size_t> starts;
  // Says what is behind the messages. "clean": nothing, "incomplete": a part of a message,
  // "closed": bytes that no server would read, "error": an error.
  std::string end = "clean";
  std::string reason;
  int status = 0;
};

inline std::string hex(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    out += kDigits[value >> 4U];
    out += kDigits[value & 15U];
  }
  return out + '"';
}

inline void print(std::ostream& out, const Message& message) {
  out << R"({"method":)" << hex(message.method) << R"(,"target":)" << hex(message.target)
      << R"(,"minor":)" << message.minor << R"(,"fields":[)";
  const char* comma = "";
  for (const auto& [name, value] : message.fields) {
    out << comma << '[' << hex(name) << ',' << hex(value) << ']';
    comma = ",";
  }
  out << R"(],"body":)" << hex(message.body) << '}';
}

inline void print(std::ostream& out, const Verdict& verdict) {
  out << R"({"messages":[)";
  const char* comma = "";
  for (const Message& message : verdict.messages) {
    out << comma;
    print(out, message);
    comma = ",";
  }
  out << R"(],"starts":[)";
  comma = "";
  for (const std::size_t start : verdict.starts) {
    out << comma << start;
    comma = ",";
  }
  out << R"(],"end":")" << verdict.end << R"(","reason":)" << hex(verdict.reason) << R"(,"status":)"
      << verdict.status << "}\n";
}

// Reads cases from standard input, each a 32-bit length (little-endian) and as many bytes. Prints
// judge(case) for each.
template <class Judge>
int print_verdicts(Judge judge) {
  unsigned char prefix[4];
  while (std::cin.read(reinterpret_cast<char*>(prefix), sizeof prefix)) {
    std::size_t size = 0;
    for (int i = 3; i >= 0; --i) size = size << 8U | prefix[i];
    std::string text(size, '\0');
    if (!std::cin.read(text.data(), static_cast<std::streamsize>(size))) return 1;
    print(std::cout, judge(std::string_view(text)));
  }
  return std::cout.flush() ? 0 : 1;
}

}  // namespace reactor::differential
