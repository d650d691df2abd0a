// SPDX-License-Identifier: MIT
#include "reactor/http/internal/parse/transfer_coding.h"

#include <algorithm>
#include <cstddef>

#include "reactor/http/internal/parse/chars.h"

namespace reactor::http {
namespace {

void skip_blanks(std::string_view& text) noexcept {
  while (!text.empty() && chars::blank(text.front())) text.remove_prefix(1);
}

bool take(std::string_view& text, char wanted) noexcept {
  if (!text.starts_with(wanted)) return false;
  text.remove_prefix(1);
  return true;
}

std::string_view take_token(std::string_view& text) noexcept {
  const auto* const end = std::find_if_not(
      text.begin(), text.end(), [](char each) { return chars::is(chars::kToken, each); });
  const auto size = static_cast<std::size_t>(end - text.begin());
  const std::string_view token = text.substr(0, size);
  text.remove_prefix(size);
  return token;
}

// Takes a quoted-string of RFC 9110 section 5.6.4.
bool take_quoted(std::string_view& text) noexcept {
  if (!take(text, '"')) return false;
  while (!text.empty() && text.front() != '"') {
    const bool pair = take(text, '\\');
    if (text.empty() || !chars::is(pair ? chars::kValue : chars::kQuoted, text.front())) {
      return false;
    }
    text.remove_prefix(1);
  }
  return take(text, '"');
}

bool take_parameter(std::string_view& text) noexcept {
  skip_blanks(text);
  if (take_token(text).empty()) return false;
  skip_blanks(text);
  if (!take(text, '=')) return false;
  skip_blanks(text);
  return !take_token(text).empty() || take_quoted(text);
}

}  // namespace

TransferCoding next_coding(std::string_view& list) noexcept {
  TransferCoding coding;
  skip_blanks(list);
  coding.name = take_token(list);
  skip_blanks(list);
  while (!coding.name.empty() && !coding.malformed && take(list, ';')) {
    coding.parameters = true;
    coding.malformed = !take_parameter(list);
    skip_blanks(list);
  }
  coding.malformed = coding.malformed || (!list.empty() && !take(list, ','));
  return coding;
}

}  // namespace reactor::http
