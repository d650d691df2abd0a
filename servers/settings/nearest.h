// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace servers {

// Returns the element of `words` of which `word` is probably a misspelling: a few letters are
// wrong, missing, doubled or swapped. Returns "" if no element is near. Ignores leading dashes and
// the case of letters, and treats underscores like dashes.
[[nodiscard]] std::string nearest(const std::string& word, const std::vector<std::string>& words);

}  // namespace servers
