// SPDX-License-Identifier: MIT
// OpenSSL sits between two interfaces that this file adapts to each other. The Stream calls open(),
// read(), write() and end_writing(); OpenSSL calls receive() and send() through the BIO, inside
// those calls:
//
//   Stream --> read() --> SSL_read  --> BIO --> receive() --> recv(2)
//   Stream --> write() -> SSL_write --> BIO --> send() -----> send(2), the rest to unsent_
//
// The oddities of OpenSSL are explained where they happen: its error queue belongs to the thread
// (begin()), it would process messages without content for ever (kAllowance), it wants a blocked
// write repeated with the same bytes (write()), and it may have to read before it can write
// (write_needs()).
#include "reactor/tls/internal/ssl_transport.h"

#include <algorithm>
#include <cerrno>

#include "reactor/net/stream/stream.h"
#include "reactor/tls/internal/socket_bio.h"
#include "reactor/tls/tls_error.h"

namespace reactor::tls {
namespace {

constexpr std::size_t kMostUnsent = 256 * 1024;
// One call may take at most kAllowance bytes from the socket, plus as many as the last read()
// returned (at most kLongRecord). Bytes that the call produces for the Stream raise this limit. So
// the limit stops only messages without content, such as tickets and key updates. Such messages
// cost a hundred times as much as data of the same size, and OpenSSL would process them for as long
// as the peer sends any.
constexpr std::size_t kAllowance = 4 * 1024;
constexpr std::size_t kLongRecord = 16 * 1024;

}  // namespace

SslTransport::SslTransport(SslPtr ssl, Duration open_limit, std::string service)
    : Connection(ssl.get()),
      ssl_(std::move(ssl)),
      open_limit_(open_limit),
      service_(std::move(service)) {
  SSL_set_app_data(ssl_.get(), this);
  BIO* const bio = SocketBio::make(*this).release();
  SSL_set_bio(ssl_.get(), bio, bio);
}

// Prepares a call of OpenSSL. The error queue belongs to the thread, so errors that other code left
// there have to be cleared.
void SslTransport::begin(int fd) noexcept {
  fd_ = fd;
  allowance_ = kAllowance + std::min(given_, kLongRecord);
  ERR_clear_error();
}

// Translates a call of OpenSSL that did not succeed; see SSL_get_error(3).
IoResult SslTransport::outcome(int returned) {
  const int kind = SSL_get_error(ssl_.get(), returned);
  if (kind == SSL_ERROR_WANT_READ) return IoResult::blocked();
  if (kind == SSL_ERROR_ZERO_RETURN) return IoResult::end_of_stream();
  error_ = take_error();
  // If the handshake failed because of a certificate, the verification result says more than the
  // error queue.
  const long verified = SSL_get_verify_result(ssl_.get());
  if (kind == SSL_ERROR_SYSCALL && socket_error_) {
    error_ = socket_error_;
  } else if (!SSL_is_init_finished(ssl_.get()) && verified != X509_V_OK &&
             SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE) {
    error_ = verification_error(verified);
  }
  return IoResult::failed(EPROTO);  // error() returns the real error
}

std::error_code SslTransport::error(IoResult) const noexcept { return error_; }

IoResult SslTransport::open(int fd) {
  begin(fd);
  const int returned = SSL_do_handshake(ssl_.get());
  if (thrown_ != nullptr) [[unlikely]]
    std::rethrow_exception(std::exchange(thrown_, nullptr));
  const IoResult result = returned == 1 ? IoResult::bytes(0) : outcome(returned);
  if (!result.ok() && !result.would_block()) return result;
  has_input_ = result.ok() && SSL_has_pending(ssl_.get()) == 1;
  const IoResult flushed = flush();
  read_needs_ = flushed.ok() ? Interest::read : Interest::write;
  return flushed.ok() ? result : flushed;
}

// Reads all records that are available and fit into `buffer`. Records that produce nothing for the
// Stream use up the allowance, so that they can't starve other connections (G10). When the
// allowance is used up, the transport reports an empty socket until the next turn.
IoResult SslTransport::read(int fd, std::span<std::byte> buffer) {
  has_input_ = false;
  if (later_) return *later_;
  begin(fd);
  std::size_t& done = given_ = 0;
  do {
    const std::span<std::byte> room = buffer.subspan(done);
    std::size_t count = 0;
    const int returned = SSL_read_ex(ssl_.get(), room.data(), room.size(), &count);
    if (returned != 1) {
      const IoResult result = outcome(returned);
      if (done == 0) return result;
      if (!result.would_block()) {
        later_ = result;
        has_input_ = true;
      }
      return IoResult::bytes(done);
    }
    done += count;
    allowance_ += count;
  } while (done < buffer.size() && SSL_has_pending(ssl_.get()) == 1);
  has_input_ = SSL_has_pending(ssl_.get()) == 1;
  return IoResult::bytes(done);
}

// After a blocked write, OpenSSL requires at least the same bytes again, but a Stream's next write
// may have fewer, for example if its rate is limited. So the BIO never refuses a record:
//   - unsent_ keeps the part of the record that the kernel did not take.
//   - This function reports the record's last byte as not written, so that the Stream writes it
//     again when the socket is writable.
//   - first_is_in_ notes that this byte is already sent or in unsent_, so the next call skips it.
// Only the first of several records can be blocked (see write_needs()), so a call never has to
// return both a count and "blocked".
IoResult SslTransport::write(int fd, std::span<const std::byte> bytes) {
  begin(fd);
  if (const IoResult flushed = flush(); !flushed.ok()) return flushed;
  std::size_t done = first_is_in_ ? 1 : 0;
  while (done < bytes.size()) {
    const std::span<const std::byte> rest = bytes.subspan(done);
    std::size_t count = 0;
    const int returned = SSL_write_ex(ssl_.get(), rest.data(), rest.size(), &count);
    if (returned != 1) return outcome(returned);
    done += count;
    first_is_in_ = !unsent_.empty();
    if (first_is_in_) return done > 1 ? IoResult::bytes(done - 1) : IoResult::blocked();
  }
  first_is_in_ = false;
  return IoResult::bytes(done);
}

IoResult SslTransport::receive(std::span<std::byte> buffer) noexcept {
  const std::size_t most = std::min(buffer.size(), allowance_);
  if (most == 0) return IoResult::blocked();
  const IoResult result = Socket::receive(fd_, buffer.first(most));
  allowance_ -= result.count();
  return result;
}

bool SslTransport::send(std::string_view record) noexcept {
  if (unsent_.empty()) {
    const IoResult result = Socket::send(fd_, std::as_bytes(std::span(record)));
    socket_error_ = result.error();
    if (socket_error_) return false;
    record.remove_prefix(result.count());
    if (record.empty()) return true;
  }
  // A peer may keep sending messages that need an answer, and not read the answers. Such a peer
  // can't make us buffer more than this.
  if (unsent_.size() + record.size() > kMostUnsent) {
    socket_error_ = std::make_error_code(std::errc::no_buffer_space);
    return false;
  }
  try {
    unsent_ += record;
    return true;
  } catch (const std::bad_alloc&) {
    socket_error_ = std::make_error_code(std::errc::not_enough_memory);
    return false;
  }
}

// Sends the unsent bytes. Frees their memory when all are sent.
IoResult SslTransport::flush() {
  if (unsent_.empty()) return IoResult::bytes(0);
  const IoResult result = Socket::send(fd_, std::as_bytes(std::span(unsent_)));
  if (result.is_error()) error_ = result.error();
  unsent_.erase(0, result.count());
  if (!unsent_.empty()) return result.ok() ? IoResult::blocked() : result;
  std::string().swap(unsent_);
  return IoResult::bytes(0);
}

// A peer may send a handshake message at any time, and in pieces. Until its last piece has arrived,
// OpenSSL writes nothing even if the descriptor is writable, so a write has to wait for input.
Interest SslTransport::write_needs() const noexcept {
  const bool waits = unsent_.empty() && SSL_in_init(ssl_.get()) != 0;
  return waits ? Interest::read : Interest::write;
}

// Sends close_notify. The peer's close_notify is left to a later read().
IoResult SslTransport::end_writing(int fd) noexcept {
  begin(fd);
  if ((SSL_get_shutdown(ssl_.get()) & SSL_SENT_SHUTDOWN) == 0) {
    const int returned = SSL_shutdown(ssl_.get());
    if (returned < 0) return outcome(returned);
  }
  return flush();
}

// ---- Connection ----

const Connection* Connection::of(const Stream& stream) noexcept {
  return dynamic_cast<const SslTransport*>(stream.transport());
}

std::string_view Connection::version() const noexcept { return SSL_get_version(ssl_); }
std::string_view Connection::cipher() const noexcept { return SSL_get_cipher_name(ssl_); }
bool Connection::resumed() const noexcept { return SSL_session_reused(ssl_) == 1; }

std::string_view Connection::protocol() const noexcept {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_, &name, &size);
  return {reinterpret_cast<const char*>(name), size};
}

std::string_view Connection::server_name() const noexcept {
  const char* const name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
  return name == nullptr ? std::string_view() : std::string_view(name);
}

}  // namespace reactor::tls
