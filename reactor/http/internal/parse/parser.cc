// SPDX-License-Identifier: MIT
// A head is parsed line by line. The fast path (fast_path.h) takes lines of the common form. The
// strict HeadLexer takes all other lines, and lines that are not complete yet.
//
//   parse_head: fast path for the whole head
//        | a line is not common
//        v
//   take_mixed: HeadLexer for that line, fast path for the lines after it, and so on
//        | the input ends: progress is saved
//        v
//   resume:     HeadLexer to the end of the head, then parse_head again from its start
//
// A resumed HeadLexer checks bytes, but no longer knows where earlier tokens began. So the head is
// parsed once more when it is complete. No byte is looked at more than a few times, however many
// pieces the head arrives in.
#include "reactor/http/internal/parse/parser.h"

#include <algorithm>

#include "reactor/base/internal/check.h"
#include "reactor/base/internal/poison.h"
#include "reactor/http/internal/parse/fast_path.h"
#include "reactor/http/internal/parse/head_lexer.h"
#include "reactor/http/internal/parse/head_rules.h"
#include "reactor/http/internal/parse/scan_native.h"

namespace reactor::http {

Version read_version(std::string_view text) noexcept {
  constexpr std::string_view kPattern = "HTTP/0.0\r\n";
  constexpr std::uint8_t kMajorAt = 5;
  const std::size_t size = std::min(text.size(), kPattern.size());
  for (std::uint8_t i = 0; i < size; ++i) {
    const bool digit = kPattern[i] == '0';
    const bool good = digit ? chars::is(chars::kDigit, text[i]) : text[i] == kPattern[i];
    if (!good) return {.status = 400, .length = i};
  }
  if (size < kPattern.size()) return {};
  if (text[kMajorAt] != '1') return {.status = 505, .length = kMajorAt};
  return {.whole = true,
          .minor = static_cast<std::uint8_t>(text[kMajorAt + 2] - '0'),
          .length = kPattern.size()};
}

namespace {

constexpr std::size_t kMaxLine = std::size_t{1} << 30U;
constexpr std::size_t kMaxFields = 65535;

Limits sane(Limits limits) {
  limits.request_line = std::min(limits.request_line, kMaxLine);
  limits.header_bytes = std::min(limits.header_bytes, kMaxLine);
  limits.fields = std::min(limits.fields, kMaxFields);
  return limits;
}

ParseResult completed(const char* begin, const char* end, bool plain) {
  return {.state = ParseResult::State::complete,
          .plain = plain,
          .consumed = static_cast<std::uint32_t>(end - begin)};
}

}  // namespace

RequestParser::RequestParser(const Limits& limits, ScanPath path)
    : limits_(sane(limits)),
      window_(std::min(limits_.request_line + 2, limits_.header_bytes)),
      fields_(new Field[limits_.fields]),
      path_(path) {}

// Not inlined, like the next two functions, to leave the registers to the fast path.
template <class Block>
[[gnu::noinline]] ParseResult RequestParser::take_odd_line(std::string_view input,
                                                           ParseProgress& progress,
                                                           Request& request,
                                                           ParseCursor& cursor) noexcept {
  HeadLexer<Block> lexer(input, limits_, fields_.get(), progress, request, cursor);
  const bool taken = lexer.take_line();
  ParseResult result = lexer.result();
  if (taken) result.state = ParseResult::State::complete;
  return result;
}

// Continues in the middle of the line in which the last call ended, up to the end of the head or of
// the input.
template <class Block>
[[gnu::noinline]] ParseResult RequestParser::resume(std::string_view input, ParseProgress& progress,
                                                    Request& request) noexcept {
  REACTOR_CHECK(progress.offset <= input.size());
  ParseCursor cursor{input.data() + progress.offset, input.data() + progress.line, progress.fields,
                     static_cast<Phase>(progress.phase)};
  ParseResult result{.state = ParseResult::State::complete};
  while (result.complete() && cursor.phase != Phase::end) {
    result = take_odd_line<Block>(input, progress, request, cursor);
  }
  return result;
}

// Continues at the cursor, with a line that the fast path did not take. Later lines may take the
// fast path again.
template <class Block>
[[gnu::noinline]] ParseResult RequestParser::take_mixed(std::string_view input,
                                                        ParseProgress& progress, Request& request,
                                                        ParseCursor cursor,
                                                        HeadRules rules) noexcept {
  using Window = scan::Window<Block>;
  const std::size_t visible = std::min(input.size(), window_);
  Field* const fields = fields_.get();
  for (;;) {
    const bool starts = cursor.phase == Phase::start;
    const ParseResult result = take_odd_line<Block>(input, progress, request, cursor);
    if (!result.complete()) return result;
    if (cursor.phase == Phase::end) break;
    if (starts) {
      progress.empty_lines = 0;
    } else {
      rules.note(fields[cursor.fields - 1].name, fields[cursor.fields - 1].value, request);
    }
    if (!Window::fits(visible)) continue;
    Field* field = fields + cursor.fields;
    cursor.at = fast_fields(Window::of(input.data(), visible), cursor.at, field,
                            fields + limits_.fields, rules, request);
    cursor.fields = static_cast<std::size_t>(field - fields);
  }
  request.fields = {fields, cursor.fields};
  const Verdict verdict = rules.judge(limits_, request);
  if (verdict.status == 0) return completed(input.data(), cursor.at, false);
  return {.state = ParseResult::State::error,
          .status = verdict.status,
          .consumed = ParseResult::kWhole,
          .reason = verdict.reason};
}

template <class Block>
ParseResult RequestParser::parse_head(std::string_view input, ParseProgress& progress,
                                      Request& request) noexcept {
  using Window = scan::Window<Block>;
  if (!progress.fresh()) [[unlikely]] {
    const ParseResult result = resume<Block>(input, progress, request);
    if (!result.complete()) return result;
    progress = {};
  }
  const char* const begin = input.data();
  const std::size_t visible = std::min(input.size(), window_);
  const auto window = Window::of(begin, visible);
  const char* at = Window::fits(visible) ? fast_request_line(window, begin, request) : nullptr;
  if (at == nullptr) {
    return take_mixed<Block>(input, progress, request, {begin, begin, 0, Phase::start},
                             HeadRules());
  }
  HeadRules rules;
  rules.note_plain_line();
  Field* const fields = fields_.get();
  Field* field = fields;
  at = fast_fields(window, at, field, fields + limits_.fields, rules, request);
  if (!at_empty_line(window, at) || !rules.judge_plain(request)) {
    const char* const section = request.target.data() + request.target.size() + kBehindTarget;
    const auto taken = static_cast<std::size_t>(field - fields);
    return take_mixed<Block>(input, progress, request, {at, section, taken, Phase::field_start},
                             rules);
  }
  request.fields = {fields, field};
  return completed(begin, at + 2, true);
}

ParseResult RequestParser::parse(std::string_view input, ParseProgress& progress,
                                 Request& request) noexcept {
  unpoison(std::as_bytes(std::span(fields_.get(), limits_.fields)));
  return path_ == ScanPath::native ? parse_head<scan::NativeBlock>(input, progress, request)
                                   : parse_head<scan::PortableBlock>(input, progress, request);
}

std::size_t RequestParser::max_head() const noexcept {
  return kMaxEmptyLines * std::size_t{2} + limits_.request_line + 2 + limits_.header_bytes;
}

}  // namespace reactor::http
