// SPDX-License-Identifier: MIT
// Connection: HTTP/1.1 on one Stream. Private to http/.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "reactor/base/byte_buffer.h"
#include "reactor/http/body.h"
#include "reactor/http/date.h"
#include "reactor/http/parser.h"
#include "reactor/http/response.h"
#include "reactor/http/server.h"
#include "reactor/net/stream.h"

namespace reactor::http {

// What all connections of one server share. A connection that waits for a request owns next to
// nothing; what one answer needs is here, and is used again for the next.
struct Service {
  Service(Handler service_handler, Options service_options)
      : handler(std::move(service_handler)),
        options(std::move(service_options)),
        parser(options.limits) {}

  Handler handler;
  Options options;
  RequestParser parser;
  Request request;
  Response response;
  DateCache date;
  bool draining = false;
};

class Connection final : public StreamHandler {
 public:
  using Context = Service;

  explicit Connection(Service& service) noexcept : service_(&service) {}

  void on_open(Stream& stream) override;
  void on_data(Stream& stream, std::span<std::byte> bytes) override;
  void on_timeout(Stream& stream) override;
  void on_shutdown(Stream& stream) override;

 private:
  // A request whose head is complete and whose content is not. `head` keeps the octets that the
  // request's views point to, `content` what came so far.
  struct PendingBody {
    ByteBuffer head;
    ByteBuffer content;
    ChunkedDecoder decoder;
  };

  // What the Stream's timer stands for.
  enum class Clock : std::uint8_t {
    idle,     // the wait for the next request
    request,  // the deadline of the present one, or of its content
    stale,    // that of one that is over
  };

  // What is left of `input` once no more requests can be taken from it.
  std::string_view take_requests(Stream& stream, std::string_view input);
  [[nodiscard]] bool take_request(Stream& stream, std::string_view& input);
  [[nodiscard]] bool begin_body(Stream& stream, std::string_view head, std::string_view& input);
  [[nodiscard]] bool feed_body(Stream& stream, std::string_view& input);
  [[nodiscard]] bool feed_counted(std::string_view& input);
  [[nodiscard]] bool feed_chunked(Stream& stream, std::string_view& input);
  void set_clock(Stream& stream);
  void finish_body(Stream& stream, bool more_input);
  void answer(Stream& stream, bool more_input);
  void refuse(Stream& stream, int status);
  void respond(Stream& stream, bool keep_alive, bool with_content);
  [[nodiscard]] bool idle() const noexcept { return partial_ == nullptr && body_ == nullptr; }

  Service* service_;
  ParseProgress progress_;
  std::unique_ptr<ByteBuffer> partial_;  // an unfinished head
  std::unique_ptr<PendingBody> body_;
  Clock clock_ = Clock::idle;
};

}  // namespace reactor::http
