// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace servers {

// The one of `words` that `word` is a slip of: a few letters wrong, left out, doubled or swapped;
// "" where none is near. Dashes in front, capitals and _ for - do not count.
[[nodiscard]] std::string nearest(const std::string& word, const std::vector<std::string>& words);

}  // namespace servers
