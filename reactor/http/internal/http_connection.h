// SPDX-License-Identifier: MIT
// Connection serves HTTP/1.1 on one Stream. Private to http/.
//
//   idle -> request head -> (content) -> handler -> response -> idle
//
// Only one request at a time is in progress. Later input waits in `partial_`. Input also waits
// there while the client does not read its responses.
//
//   http_connection.cc             reads requests and their content, and calls the handler
//   http_connection_response.cc    handles errors, upgrades and deferred responses
//   http_connection_end.cc         drains, hands over to another process, and closes
//   exchange.cc                    has the request and response that take longer than one read
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "reactor/base/byte_buffer.h"
#include "reactor/base/held_callback.h"
#include "reactor/base/internal/jitter.h"
#include "reactor/http/http_options.h"
#include "reactor/http/internal/date.h"
#include "reactor/http/internal/exchange.h"
#include "reactor/http/internal/parse/parser.h"
#include "reactor/http/internal/refusal.h"
#include "reactor/http/internal/response_head.h"
#include "reactor/net/stream/stream.h"

namespace reactor::http {

// Shared has the state that all connections of one server share. A connection that waits for a
// request owns next to no memory: the memory for a request and its response is here, and is reused
// for the next request.
struct Shared {
  // The most bytes of one read, except while content is expected. Reading pauses when this many
  // bytes wait in partial_.
  static constexpr std::size_t kHeldInput = 8 * 1024;

  Shared(Loop& loop, Handler its_handler, Options its_options)
      : handler(std::move(its_handler)),
        options(std::move(its_options)),
        input(loop.scratch().first(kHeldInput)),
        parser(options.limits),
        date(loop) {
    adopt_upgraded = std::move(options.on_adopt_upgraded);
  }

  Handler handler;
  Options options;
  // The first part of the loop's scratch, into which requests are read. It is short because a
  // connection keeps any input that can't be handled yet.
  std::span<std::byte> input;
  HeldCallback<StreamHandler*()> adopt_upgraded;  // Options::on_adopt_upgraded
  RequestParser parser;
  // The memory for the request that is handled now, and for its response. Only functions that fill
  // them in take them from here. All others get them as arguments.
  Request request;
  Response response;
  DateCache date;
  std::uint64_t requests_left = 0;  // until limit_reached is scheduled; 0: no limit
  Deferred limit_reached;
  Jitter jitter;  // for drain_spread
  bool draining = false;
};

class Connection final : public StreamHandler {
 public:
  using Context = Shared;

  explicit Connection(Shared& shared) noexcept : shared_(&shared) {}

  std::span<std::byte> read_buffer(Stream& stream) override;
  void on_open(Stream& stream) override;
  void on_data(Stream& stream, std::span<std::byte> bytes) override;
  void on_end(Stream& stream) override;
  void on_drain(Stream& stream) override;
  void on_timeout(Stream& stream) override;
  void on_call(Stream& stream) override;
  void on_shutdown(Stream& stream) override;
  HandOver on_hand_over(Stream& stream, std::vector<std::byte>& state) override;
  void on_adopt(Stream& stream, std::span<const std::byte> state) override;
  // Called by the server. Returns the handler for an upgraded connection that another process
  // handed over, or null to close the connection.
  [[nodiscard]] StreamHandler* adopting_handler();
  void on_close(Stream& stream, std::error_code error) noexcept override;
  void on_loop_end(Stream& stream) noexcept override;

  // Called by Response while the handler runs.
  [[nodiscard]] Responder defer(Stream& stream, const Request& request);

  // Called by Exchange.
  [[nodiscard]] DateCache& date() noexcept { return shared_->date; }
  // Returns whether input that arrived after the request in progress is waiting.
  [[nodiscard]] bool has_input() const noexcept { return partial_ != nullptr; }
  // Returns whether the next response is the last one.
  [[nodiscard]] bool leaves() const noexcept { return shared_->draining || leaving_; }
  void drop_if_over(Stream& stream);
  void proceed_soon(Stream& stream);

 private:
  // Clock tells what the Stream's timer is set for.
  enum class Clock : std::uint8_t {
    idle,     // the wait for the next request
    request,  // the deadline of the current request's head or content
    stale,    // the deadline of a request that is over; set_clock() replaces it
    none,     // nothing; we wait for the handler, or for the client to read
    soon,     // nothing; on_call() comes soon and takes partial_
  };

  void take_input(Stream& stream, std::span<const std::byte> bytes);
  void take_partial(Stream& stream);
  void give_up(Stream& stream);
  void settle(Stream& stream);
  void proceed(Stream& stream);
  // Returns the rest of `input`, from which nothing more can be taken now.
  std::string_view take_requests(Stream& stream, std::string_view input);
  // These functions return whether there may be more input to take.
  [[nodiscard]] bool take_request(Stream& stream, std::string_view& input);
  [[nodiscard]] bool begin_content(Stream& stream, Request& request, std::string_view head,
                                   std::string_view& input);
  [[nodiscard]] bool begin_stream(Stream& stream, Request& request, std::string_view& input);
  [[nodiscard]] bool feed(Stream& stream, std::string_view& input);
  [[nodiscard]] bool feed_counted(Stream& stream, std::string_view& input);
  [[nodiscard]] bool feed_chunked(Stream& stream, std::string_view& input);
  [[nodiscard]] bool take_content(Stream& stream, std::string_view part);
  [[nodiscard]] bool content_whole(Stream& stream, std::string_view& input);

  [[nodiscard]] Request& parse_again(std::string_view head);
  // Asks on_head, which fills in the response for Content::refuse.
  [[nodiscard]] Content choose_use(const Request& request, Response& response);
  // Calls the handler, and sends its response unless that is deferred. `input` follows the request.
  void handle(Stream& stream, Request& request, std::string_view& input);
  void handle_with_content(Stream& stream, Request& request, std::string_view& input);
  // Returns false if the handler threw.
  [[nodiscard]] bool call_handler(Stream& stream, Request& request, Response& response);
  void respond_otherwise(Stream& stream, const Request& request, const Response& response,
                         std::string_view& input, bool well);
  void respond_and_close(Stream& stream, const Request& request, const Response& response);
  void upgrade(Stream& stream, const Request& request, const Response& response,
               std::string_view rest);
  static void catch_up(Stream& stream, std::string_view rest);
  void refuse(Stream& stream, const Request& request, const Refusal& why);
  void refuse_content(Stream& stream, const Refusal& why);
  void refuse_late(Stream& stream);
  void log_response(Stream& stream, const Request& request, SentResponse sent,
                    std::string_view reason);

  void leave(Stream& stream);
  void set_clock(Stream& stream);
  void set_content_deadline(Stream& stream);
  // Returns whether no request is held, not even a part of one.
  [[nodiscard]] bool idle() const noexcept { return partial_ == nullptr && exchange_ == nullptr; }
  // Returns whether input must wait until the handler responds or the client reads.
  [[nodiscard]] bool waits(const Stream& stream) const noexcept;

  Shared* shared_;
  ParseProgress progress_;
  std::unique_ptr<ByteBuffer> partial_;  // an unfinished head, or input that must wait
  std::unique_ptr<Exchange> exchange_;
  Clock clock_ = Clock::idle;
  bool taking_ = false;  // take_requests() is running
  bool input_paused_ = false;
  bool leaving_ = false;  // on_shutdown() was called: the next response is the last
};

// Logs an exception of any type that a callback threw. Call it in the catch block. The exception
// affects no other connection.
void log_exception(std::string_view callback) noexcept;

}  // namespace reactor::http
