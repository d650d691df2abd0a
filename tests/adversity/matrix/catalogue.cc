// SPDX-License-Identifier: MIT
#include "tests/adversity/matrix/catalogue.h"

#include <algorithm>
#include <cstdio>
#include <map>

#include "reactor/poller/internal/poller.h"
#include "tests/adversity/matrix/actions.h"
#include "tests/adversity/matrix/expected.h"

namespace reactor::adversity {
namespace {

const std::vector<Kind>& all_kinds() {
  static const std::vector<Kind> kinds = [] {
    std::vector<Kind> all;
    for (const std::span<const Kind> some :
         {stream_kinds(), handle_kinds(), transport_kinds(), wire_kinds(), process_kinds(),
          server_kinds(), http_kinds(), coro_kinds(), coro_server_kinds()}) {
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }();
  return kinds;
}

std::vector<Cell> product() {
  std::vector<Cell> all;
  for (const Kind& kind : all_kinds()) {
    for (const Action& action : actions()) {
      for (std::size_t carrier = 0; carrier < kCarrierNames.size(); ++carrier) {
        for (std::size_t when = 0; when < kWhenNames.size(); ++when) {
          for (const Backend backend : available_backends()) {
            all.push_back({kind.callback, action.name, static_cast<Carrier>(carrier),
                           static_cast<When>(when), backend});
          }
        }
      }
    }
  }
  return all;
}

bool matches_all(std::span<const std::string_view> patterns, const Cell& cell) {
  const std::array texts = {cell.callback, cell.action, cell.carrier_name(), cell.when_name(),
                            to_string(cell.backend)};
  for (std::size_t i = 0; i < patterns.size(); ++i) {
    if (!matches(patterns[i], texts.at(i))) return false;
  }
  return true;
}

}  // namespace

std::vector<Cell> cells(std::span<const std::string_view> arguments) {
  std::vector<Cell> chosen = product();
  std::erase_if(chosen, [&](const Cell& cell) {
    return !matches_all(arguments, cell) || !expected_of(cell).left_out.empty();
  });
  return chosen;
}

void print_left_out() {
  std::map<std::string_view, int> reasons;
  for (const Cell& cell : product()) {
    const std::string_view reason = expected_of(cell).left_out;
    if (!reason.empty()) ++reasons[reason];
  }
  for (const auto& [reason, count] : reasons) {
    std::printf("left out: %d cells: %.*s\n", count, static_cast<int>(reason.size()),
                reason.data());
  }
}

const Kind& kind_of(const Cell& cell) {
  return *std::find_if(all_kinds().begin(), all_kinds().end(),
                       [&](const Kind& kind) { return kind.callback == cell.callback; });
}

}  // namespace reactor::adversity
