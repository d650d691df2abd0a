// SPDX-License-Identifier: MIT
#include "reactor/coro/stream_awaiters.h"

namespace reactor::coro {

Result<std::optional<std::string_view>> ReadUntil::await_resume() noexcept {
  if (went_wrong()) return error();
  if (call_.count == 0) return std::optional<std::string_view>();
  std::string_view text = call_.state->text(call_.count);
  if (call_.want == Want::line && text.ends_with('\n')) {
    text.remove_suffix(text.ends_with("\r\n") ? 2 : 1);
  }
  return std::optional(text);
}

}  // namespace reactor::coro
