// SPDX-License-Identifier: MIT
#include "reactor/http/internal/date.h"

#include <time.h>

#include <cstdio>

namespace reactor::http {

// Formats without strftime(3), whose names of days and months follow the locale.
void DateCache::refresh(TimePoint now) {
  static constexpr std::array<const char*, 7> kDays = {"Sun", "Mon", "Tue", "Wed",
                                                       "Thu", "Fri", "Sat"};
  static constexpr std::array<const char*, 12> kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                          "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  timespec wall{};
  ::clock_gettime(CLOCK_REALTIME, &wall);
  tm utc{};
  ::gmtime_r(&wall.tv_sec, &utc);
  std::array<char, 96> line{};
  std::snprintf(line.data(), line.size(),
                "HTTP/1.1 200 OK\r\nDate: %s, %02d %s %04d %02d:%02d:%02d GMT\r\n",
                kDays[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                kMonths[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour,
                utc.tm_min, utc.tm_sec);
  std::string_view(line.data(), lines_.size()).copy(lines_.data(), lines_.size());
  valid_until_ = now + std::chrono::seconds(1) - Duration(wall.tv_nsec);
}

}  // namespace reactor::http
