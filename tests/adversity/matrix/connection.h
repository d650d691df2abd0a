// SPDX-License-Identifier: MIT
// Connection: the scene's record of one of its connections. Side: the StreamHandler that fills it
// in.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "reactor/net/stream/stream.h"
#include "tests/tls/tls_kit.h"

namespace reactor::adversity {

class Scene;
struct Connection;

// The handler of a connection. It records each call, and then lets the scene act.
class Side final : public StreamHandler {
 public:
  using Context = Scene;
  explicit Side(Scene& scene);  // for the connection that the server has just accepted
  Side(Scene& scene, Connection& connection) : scene_(scene), connection_(connection) {}
  ~Side();

  void on_open(Stream& stream) override;
  std::span<std::byte> read_buffer(Stream& stream) override;
  void on_data(Stream& stream, std::span<std::byte> bytes) override;
  void on_end(Stream& stream) override;
  void on_drain(Stream& stream) override;
  void on_flushed(Stream& stream) override;
  void on_timeout(Stream& stream) override;
  void on_call(Stream& stream) override;
  void on_shutdown(Stream& stream) override;
  HandOver on_hand_over(Stream& stream, std::vector<std::byte>& state) override;
  void on_adopt(Stream& stream, std::span<const std::byte> state) override;
  void on_close(Stream& stream, std::error_code error) noexcept override;

 private:
  void opened(Stream& stream);
  void enter(std::string_view call);  // may destroy the Side

  Scene& scene_;
  Connection& connection_;
};

// One connection, from its start to the checks after its end.
struct Connection {
  // Writes, and records the bytes that the peer has to get.
  void write(std::string_view text);
  void send_file();
  // Writes from the peer, and records the bytes.
  void far_write(std::string_view text);
  // Lets the peer read the bytes that are there.
  void far_read() {
    if (far != nullptr && far->socket.fd) far->read();
  }
  [[nodiscard]] bool far_over() const { return far->over() || far->socket.over(); }
  // Marks that no data, end or timeout may come any more. close() and similar actions call it.
  void ends() { ending = true; }

  Side* side = nullptr;         // null after the handler's end
  Stream* stream = nullptr;     // null after the stream's end
  std::unique_ptr<Side> other;  // the handler that set_handler() installed
  std::unique_ptr<tls::TlsPeer> far;
  Socket detached;         // the socket from detach()
  std::string got, given;  // bytes it got; bytes its peer wrote
  std::string sent;        // bytes the peer has to get, in order
  int opens = 0, closes = 0;
  int timeouts = 0, shutdowns = 0;
  int calls_of_other = 0;
  HandOver wish = HandOver::no;  // the answer of on_hand_over()
  int late = 0;                  // calls that came after ends()
  bool watched = true;           // a Side records it; false for a coroutine's
  bool served = false;           // it belongs to the scene's server
  bool ending = false;
  bool peer_ended = false;
  std::error_code error;  // from on_close()
};

// Sets options that never take effect.
void add_extras(Stream& stream);
// Returns 400 KB, which is more than the kernel's buffers hold between the two ends.
[[nodiscard]] const std::string& big_text();
// Returns a file with that content, which stays open for the whole run.
[[nodiscard]] int big_file();

}  // namespace reactor::adversity
