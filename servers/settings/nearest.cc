// SPDX-License-Identifier: MIT
#include "servers/settings/nearest.h"

#include <algorithm>
#include <cctype>
#include <numeric>

namespace servers {
namespace {

constexpr std::size_t kLongest = 64;  // longer words are no slips; bounds the work

std::string as_option_name(const std::string& word) {
  std::string name = word.substr(std::min(word.find_first_not_of("-_"), word.size()));
  for (char& c : name)
    c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return name;
}

// Returns the distance by optimal string alignment: how many insertions, deletions, replacements
// and swaps of neighbours turn `a` into `b`.
std::size_t distance(const std::string& a, const std::string& b) {
  std::vector<std::size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  std::iota(last.begin(), last.end(), 0U);
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, replaced});
      const bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
      if (swapped) row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last.back();
}

}  // namespace

std::string nearest(const std::string& word, const std::vector<std::string>& words) {
  const std::string name = as_option_name(word);
  if (name.empty() || name.size() > kLongest) return "";
  std::string best;
  std::size_t least = std::max<std::size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : words) {
    const std::size_t steps = distance(name, candidate);
    if (steps < least && steps < candidate.size()) {
      least = steps;
      best = candidate;
    }
  }
  return best;
}

}  // namespace servers
