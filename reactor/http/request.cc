// SPDX-License-Identifier: MIT
#include "reactor/http/request.h"

#include <cstddef>

#include "reactor/http/internal/parse/chars.h"

namespace reactor::http {
namespace {

// Returns the rest of the target from its path on.
std::string_view path_and_query(const Request& request) {
  const std::string_view target = request.target;
  if (request.form != TargetForm::absolute) return target;
  const std::size_t authority = target.find("://") + 3;
  const std::size_t end = target.find_first_of("/?", authority);
  return end == std::string_view::npos ? std::string_view{} : target.substr(end);
}

}  // namespace

std::optional<std::string_view> Request::field(std::string_view name) const noexcept {
  for (const Field& field : fields) {
    if (chars::same(field.name, name)) return field.value;
  }
  return std::nullopt;
}

std::string_view Request::path() const noexcept {
  const std::string_view text = path_and_query(*this);
  const std::string_view path = text.substr(0, text.find('?'));
  return path.empty() ? std::string_view("/") : path;
}

std::string_view Request::query() const noexcept {
  const std::size_t mark = target.find('?');
  return mark == std::string_view::npos ? std::string_view{} : target.substr(mark + 1);
}

}  // namespace reactor::http
