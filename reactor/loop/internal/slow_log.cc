// SPDX-License-Identifier: MIT
#include "reactor/loop/internal/slow_log.h"

#include <algorithm>
#include <string>

#include "reactor/base/log.h"

namespace reactor {
namespace {

std::string describe(const HandleInfo& who) {
  std::string text(who.kind);
  if (who.number >= 0) text += " " + std::to_string(who.number);
  return text + " made at " + who.where.file_name() + ":" + std::to_string(who.where.line());
}

std::string milliseconds(Duration took) {
  return std::to_string(took / std::chrono::milliseconds(1)) + " ms";
}

std::string text_of(const HandleInfo& who, std::size_t calls, Duration took) {
  if (!who.kind.empty()) return "slow callback: " + describe(who) + " took " + milliseconds(took);
  return "slow batch: " + std::to_string(calls) + " callbacks took " + milliseconds(took) +
         "; each call of the next turns is measured";
}

}  // namespace

// Returns the entry of the place where `who` was made. File names are string literals, so comparing
// pointers is enough.
SlowLog::Place& SlowLog::place_of(const HandleInfo& who) noexcept {
  const char* const file = who.kind.empty() ? nullptr : who.where.file_name();
  const auto line = static_cast<unsigned>(who.where.line());
  Place* const end = places_.data() + used_;
  Place* const found = std::find_if(places_.data(), end, [&](const Place& place) {
    return place.file == file && place.line == line;
  });
  if (found != end) return *found;
  if (used_ == kPlaces) return places_.back();
  ++used_;
  *found = {.file = file, .line = line};
  return *found;
}

void SlowLog::report(const HandleInfo& who, std::size_t calls, Duration took, TimePoint now) {
  Place& place = place_of(who);
  if (now < place.next) {
    ++place.left_out;
    place.longest = std::max(place.longest, took);
    return;
  }
  REACTOR_LOG(warn, text_of(who, calls, took) + what_was_left_out(place));
  place.next = now + kInterval;
  place.left_out = 0;
  place.longest = Duration::zero();
}

std::string SlowLog::what_was_left_out(const Place& place) {
  if (place.left_out == 0) return {};
  return "; " + std::to_string(place.left_out) + " more since the last such line, up to " +
         milliseconds(place.longest);
}

}  // namespace reactor
