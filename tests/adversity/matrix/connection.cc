// SPDX-License-Identifier: MIT
#include "tests/adversity/matrix/connection.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>

#include "tests/adversity/matrix/scene.h"
#include "tests/support/stream_kit.h"

namespace reactor::adversity {
namespace {

using std::chrono::hours;

// Without this limit the kernel would take megabytes.
void limit_kernel_buffer(int fd) {
  const int size = 65536;
  ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
}

}  // namespace

const std::string& big_text() {
  static const std::string text = pattern(400000);
  return text;
}

int big_file() {
  static std::FILE* const file = [] {
    std::FILE* const made = std::tmpfile();
    std::fwrite(big_text().data(), 1, big_text().size(), made);
    std::fflush(made);
    return made;
  }();
  return ::fileno(file);
}

void add_extras(Stream& stream) {
  stream.set_read_rate(1 << 30);
  stream.set_write_rate(1 << 30);
  stream.set_read_timeout(hours(1));
  stream.set_write_timeout(hours(1));
  stream.set_total_deadline(monotonic_now() + hours(1));
}

void Connection::write(std::string_view text) {
  if (stream->sends()) sent += text;
  stream->write(text);
}

void Connection::send_file() {
  if (stream->sends()) sent += big_text();
  stream->send_file(UniqueFd(::fcntl(big_file(), F_DUPFD_CLOEXEC, 0)), 0, big_text().size());
}

void Connection::far_write(std::string_view text) {
  given += text;
  far->write(text);
}

Side::Side(Scene& scene) : Side(scene, scene.next_accepted()) {
  connection_.side = this;
  scene.made();
}

Side::~Side() {
  if (connection_.side != this) return;
  connection_.side = nullptr;
  connection_.stream = nullptr;
}

void Side::enter(std::string_view call) {
  if (connection_.other.get() == this) ++connection_.calls_of_other;
  scene_.reach(call, &connection_);
}

void Side::opened(Stream& stream) {
  connection_.stream = &stream;
  ++connection_.opens;
  limit_kernel_buffer(stream.fd());
  if (scene_.cell().carrier == Carrier::extras) add_extras(stream);
}

void Side::on_open(Stream& stream) {
  opened(stream);
  enter("open");
}

void Side::on_adopt(Stream& stream, std::span<const std::byte>) {
  opened(stream);
  enter("adopt");
}

std::span<std::byte> Side::read_buffer(Stream& stream) {
  if (connection_.ending) ++connection_.late;
  const std::span<std::byte> buffer = StreamHandler::read_buffer(stream);
  enter("read_buffer");
  return buffer;
}

void Side::on_data(Stream&, std::span<std::byte> bytes) {
  if (connection_.ending) ++connection_.late;
  connection_.got.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  enter("data");
}

void Side::on_end(Stream&) {
  if (connection_.ending) ++connection_.late;
  connection_.peer_ended = true;
  enter("end");
}

void Side::on_drain(Stream&) { enter("drain"); }
void Side::on_flushed(Stream&) { enter("flushed"); }

void Side::on_timeout(Stream&) {
  if (connection_.ending) ++connection_.late;
  ++connection_.timeouts;
  enter("timeout");
}

void Side::on_call(Stream&) {
  if (connection_.ending) ++connection_.late;
  enter("call");
}

void Side::on_shutdown(Stream& stream) {
  ++connection_.shutdowns;
  if (!scene_.waits_for("shutdown", &connection_)) {
    connection_.ends();
    return stream.close();
  }
  enter("shutdown");
}

HandOver Side::on_hand_over(Stream&, std::vector<std::byte>&) {
  const HandOver wish = connection_.wish;
  enter(wish == HandOver::no      ? "migrate"
        : wish == HandOver::later ? "migrate_later"
                                  : "migrate_now");
  return wish;
}

void Side::on_close(Stream&, std::error_code error) noexcept {
  ++connection_.closes;
  connection_.error = error;
  connection_.ends();
  enter("close");
}

}  // namespace reactor::adversity
