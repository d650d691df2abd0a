// SPDX-License-Identifier: MIT
// RequestNote keeps the data of a request that the access log needs if the response is sent later.
// Private to http/.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "reactor/base/clock.h"
#include "reactor/http/access_log.h"
#include "reactor/http/internal/response_head.h"
#include "reactor/net/address.h"

namespace reactor {
class Stream;
}

namespace reactor::http {

// Adds a request to the log while its views are still valid. `reason` says why the request was
// refused, or is "".
void log_request(AccessLog& log, const Stream& stream, const Request& request, SentResponse sent,
                 std::string_view reason);

// A RequestNote copies this data, because the request's views are no longer valid when the response
// is sent.
class RequestNote {
 public:
  // The log must outlive the note.
  RequestNote(AccessLog& log, const Request& request, const Stream& stream);

  // Adds the request to the log. `now` is the end of its response.
  void log(TimePoint now, SentResponse sent, std::string_view reason) const;

 private:
  AccessLog& log_;
  std::optional<Address> peer_;
  std::string method_token_;
  std::string target_;
  std::string referer_;
  std::string user_agent_;
  std::uint8_t minor_version_;
  TimePoint begun_;
};

}  // namespace reactor::http
