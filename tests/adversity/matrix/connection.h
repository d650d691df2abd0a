// SPDX-License-Identifier: MIT
// Connection: what a scene knows of one of its connections, and Side, the StreamHandler that notes
// it.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <system_error>

#include "reactor/net/stream.h"
#include "tests/tls/tls_kit.h"

namespace reactor::adversity {

class Scene;
struct Connection;

// The handler of a connection: notes each call, and then lets the scene act.
class Side final : public StreamHandler {
 public:
  using Context = Scene;
  explicit Side(Scene& scene);  // of the connection that the server has just accepted
  Side(Scene& scene, Connection& connection) : scene_(scene), connection_(connection) {}
  ~Side();

  void on_open(Stream& stream) override;
  std::span<std::byte> read_buffer(Stream& stream) override;
  void on_data(Stream& stream, std::span<std::byte> bytes) override;
  void on_end(Stream& stream) override;
  void on_drain(Stream& stream) override;
  void on_flushed(Stream& stream) override;
  void on_timeout(Stream& stream) override;
  void on_shutdown(Stream& stream) override;
  Migration on_migrate(Stream& stream, std::vector<std::byte>& state) override;
  void on_adopt(Stream& stream, std::span<const std::byte> state) override;
  void on_close(Stream& stream, std::error_code error) noexcept override;

 private:
  void opened(Stream& stream);
  void enter(std::string_view call);  // the Side may be gone afterwards

  Scene& scene_;
  Connection& connection_;
};

// One connection, from its start to the checks after its end.
struct Connection {
  // Notes what should reach the peer.
  void write(std::string_view text);
  void send_file();
  // What the peer writes.
  void far_write(std::string_view text);
  // Lets the peer read what is there.
  void far_read() {
    if (far != nullptr && far->socket.fd) far->read();
  }
  [[nodiscard]] bool far_over() const { return far->over() || far->socket.over(); }
  // No data, end or timeout may come any more; close() and its like say so.
  void ends() { ending = true; }

  Side* side = nullptr;         // while the handler lives
  Stream* stream = nullptr;     // while it lives
  std::unique_ptr<Side> other;  // that set_handler() gave it
  std::unique_ptr<tls::TlsPeer> far;
  Socket detached;         // what detach() gave
  std::string got, given;  // what it got, what its peer wrote
  std::string sent;        // what should reach the peer, in order
  int opens = 0, closes = 0;
  int timeouts = 0, shutdowns = 0;
  int calls_of_other = 0;
  int late = 0;         // calls after ends()
  bool watched = true;  // by a Side; a coroutine's is not
  bool served = false;  // by the scene's server
  bool ending = false;
  bool peer_ended = false;
  std::error_code error;  // of on_close()
};

// Settings that never bite.
void add_extras(Stream& stream);
// 400 KB: more than the kernel's buffers hold between the two ends.
[[nodiscard]] const std::string& big_text();
// A file with that content, open for the whole run.
[[nodiscard]] int big_file();

}  // namespace reactor::adversity
