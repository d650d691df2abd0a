// SPDX-License-Identifier: MIT
#include "reactor/http/internal/request_note.h"

#include "reactor/net/stream/stream.h"

namespace reactor::http {
namespace {

std::optional<Address> peer_of(const Stream& stream) {
  if (const Result<Address> address = stream.peer()) return *address;
  return std::nullopt;
}

AccessLog::Entry entry_of(SentResponse sent, std::string_view reason) {
  AccessLog::Entry entry;
  entry.status = sent.status;
  entry.bytes = sent.bytes;
  entry.reason = reason;
  return entry;
}

}  // namespace

void log_request(AccessLog& log, const Stream& stream, const Request& request, SentResponse sent,
                 std::string_view reason) {
  const std::optional<Address> peer = peer_of(stream);
  AccessLog::Entry entry = entry_of(sent, reason);
  if (peer) entry.peer = &*peer;
  entry.minor_version = request.minor_version;
  entry.method_token = request.method_token;
  entry.target = request.target;
  entry.referer = request.field("Referer").value_or("");
  entry.user_agent = request.field("User-Agent").value_or("");
  log.add(entry);
}

RequestNote::RequestNote(AccessLog& log, const Request& request, const Stream& stream)
    : log_(log),
      peer_(peer_of(stream)),
      method_token_(request.method_token),
      target_(request.target),
      referer_(request.field("Referer").value_or("")),
      user_agent_(request.field("User-Agent").value_or("")),
      minor_version_(request.minor_version),
      begun_(stream.loop().now()) {}

void RequestNote::log(TimePoint now, SentResponse sent, std::string_view reason) const {
  AccessLog::Entry entry = entry_of(sent, reason);
  if (peer_) entry.peer = &*peer_;
  entry.minor_version = minor_version_;
  entry.method_token = method_token_;
  entry.target = target_;
  entry.referer = referer_;
  entry.user_agent = user_agent_;
  entry.time = now - begun_;
  log_.add(entry);
}

}  // namespace reactor::http
