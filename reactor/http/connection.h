// SPDX-License-Identifier: MIT
// Connection: HTTP/1.1 on one Stream. Private to http/.
//
//   idle -> request head -> (content) -> handler -> answer -> idle
//
// One request at a time is under way. What came behind it waits in `partial_`, and so does what
// came while the client did not read its answers.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "reactor/base/byte_buffer.h"
#include "reactor/base/callback_slot.h"
#include "reactor/http/answer.h"
#include "reactor/http/date.h"
#include "reactor/http/exchange.h"
#include "reactor/http/options.h"
#include "reactor/http/parser.h"
#include "reactor/http/refusal.h"
#include "reactor/net/stream.h"

namespace reactor::http {

// What all connections of one server share. A connection that waits for a request owns next to
// nothing; what one answer needs is here, and is used again for the next.
struct Shared {
  // Read at once of requests, and held of those that can't be taken yet.
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
  // Requests are read into the first part of the loop's scratch. Requests that can't be answered
  // yet are kept, so one read must not be long.
  std::span<std::byte> input;
  CallbackSlot<StreamHandler*()> adopt_upgraded;  // Options::on_adopt_upgraded
  RequestParser parser;
  Request request;
  Response response;
  DateCache date;
  Stream* stream = nullptr;         // of the handler that runs
  std::uint64_t requests_left = 0;  // before limit_reached is scheduled; 0: not counted
  Deferred limit_reached;
  std::uint32_t spread = 1;  // a generator's state: when which idle connection is closed
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
  void on_shutdown(Stream& stream) override;
  Migration on_migrate(Stream& stream, std::vector<std::byte>& state) override;
  void on_adopt(Stream& stream, std::span<const std::byte> state) override;
  // For the server: who goes on with an upgraded connection of another process; null: nobody.
  [[nodiscard]] StreamHandler* adopting_handler();
  void on_close(Stream& stream, std::error_code error) noexcept override;
  void on_loop_end(Stream& stream) noexcept override;

  // For Response, while the handler runs.
  [[nodiscard]] Responder defer();
  [[nodiscard]] bool asks_to_upgrade() const noexcept;
  [[nodiscard]] bool asks_to_tunnel() const noexcept;

  // For Responder: the calls of these names.
  void send(Exchange& exchange, const Response& response);
  void begin(Exchange& exchange, const Response& response, std::optional<std::uint64_t> length);
  void write(Exchange& exchange, std::string_view content);
  void finish(Exchange& exchange);
  void abandon(Exchange& exchange);  // its Responder is gone
  void want_body(Exchange& exchange);
  void pause_body(Exchange& exchange, bool paused);

 private:
  // What the Stream's timer stands for.
  enum class Clock : std::uint8_t {
    idle,     // the wait for the next request
    request,  // the deadline of the present one, or of its content
    stale,    // that of one that is over
    none,     // nothing: the handler, or the client that does not read, is waited for
    soon,     // go on with what is in partial_
  };

  void take_input(Stream& stream, std::span<const std::byte> bytes);
  void take_partial(Stream& stream);
  void give_up(Stream& stream);
  void settle(Stream& stream);
  void go_on_soon(Stream& stream);
  // What is left of `input` once no more requests can be taken from it.
  std::string_view take_requests(Stream& stream, std::string_view input);
  void note_followed_upgrade(std::string_view input);
  // These return whether there may be more to take.
  [[nodiscard]] bool take_request(Stream& stream, std::string_view& input);
  [[nodiscard]] bool begin_content(Stream& stream, std::string_view head, std::string_view& input);
  [[nodiscard]] bool begin_stream(Stream& stream, std::string_view& input);
  [[nodiscard]] bool feed(Stream& stream, std::string_view& input);
  [[nodiscard]] bool feed_counted(Stream& stream, std::string_view& input);
  [[nodiscard]] bool feed_chunked(Stream& stream, std::string_view& input);
  [[nodiscard]] bool take_content(Stream& stream, std::string_view part);
  [[nodiscard]] bool content_whole(Stream& stream, std::string_view& input);

  void parse_again(Exchange& exchange);
  [[nodiscard]] Content content_of();
  [[nodiscard]] bool call_handler(Stream& stream);
  void answer(Stream& stream, std::string_view& input);
  void answer_otherwise(Stream& stream, std::string_view& input, bool well);
  void hand_over(Stream& stream, std::string_view rest);
  void refuse(Stream& stream, const Refusal& why);
  void refuse_content(Stream& stream);
  [[nodiscard]] bool respond(Stream& stream, const Response& response, AnswerContext to);
  bool respond_slowly(Stream& stream, const Response& response, AnswerContext to);  // not inline
  void respond_with_error(Stream& stream, int status, bool head_only);
  void send_error(Stream& stream, int status, bool head_only, std::string_view reason);
  void log_answer(Stream& stream, int status, std::uint64_t octets);
  void log_refusal(Stream& stream, int status, std::uint64_t octets, std::string_view reason);
  void keep_from_going_on(Exchange& exchange);
  void answered(Exchange& exchange);
  void drop_if_over(Stream& stream);
  // Runs a callback of an exchange, which may be gone afterwards.
  template <class Call>
  void run(Exchange& exchange, Call&& call);

  void set_clock(Stream& stream);
  void set_content_deadline(Stream& stream);
  // No request is taken after the next answer.
  [[nodiscard]] bool leaves() const noexcept { return shared_->draining || leaving_; }
  // No request, and no part of one, is here.
  [[nodiscard]] bool idle() const noexcept { return partial_ == nullptr && exchange_ == nullptr; }
  // No input is taken until the handler, or the client by reading, has done something.
  [[nodiscard]] bool waits(const Stream& stream) const noexcept;

  Shared* shared_;
  ParseProgress progress_;
  std::unique_ptr<ByteBuffer> partial_;  // an unfinished head, or what can't be taken yet
  std::unique_ptr<Exchange> exchange_;
  Clock clock_ = Clock::idle;
  bool taking_ = false;  // take_requests() is running
  bool input_paused_ = false;
  bool leaving_ = false;  // by on_shutdown(): the next answer is the last
};

// Logs the exception of a callback, which is being caught. Whatever its type, it ends no other
// connection than its own.
void log_exception(std::string_view callback) noexcept;

}  // namespace reactor::http
