// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "reactor/net/transport.h"

namespace reactor {

// ScriptTransport is a Transport whose behaviour a test chooses. It combines each byte with kMark
// by exclusive or, so that a test sees it if bytes bypass the transport. The script belongs to the
// test, and also counts the calls.
class ScriptTransport final : public Transport {
 public:
  static constexpr char kMark = 0x20;

  struct Script {
    std::size_t piece = 1 << 20;  // bytes that one call moves at most
    std::size_t read_ahead = 0;   // bytes that it takes from the kernel ahead of the reader
    int open_rounds = 0;          // bytes that it needs from the peer before it is open
    bool writes_first = false;    // sends each of these bytes back
    int swaps = 0;                // reads and writes that fail and ask for the other direction
    int reluctant_ends = 0;       // calls of end_writing() that would block before one succeeds
    int fail_read_with = 0;       // an errno value
    // returned by error() for every failure; if empty, the errno value
    std::error_code error_name;
    Duration open_limit = std::chrono::seconds(10);

    int opens = 0, reads = 0, writes = 0, ends = 0;  // numbers of calls
    bool destroyed = false;
  };

  explicit ScriptTransport(Script& script) : script_(script) {}
  ~ScriptTransport() override { script_.destroyed = true; }

  IoResult open(int fd) override;
  [[nodiscard]] Duration open_limit() const noexcept override { return script_.open_limit; }
  IoResult read(int fd, std::span<std::byte> buffer) override;
  IoResult write(int fd, std::span<const std::byte> bytes) override;
  IoResult end_writing(int fd) noexcept override;
  [[nodiscard]] Interest read_needs() const noexcept override { return read_needs_; }
  [[nodiscard]] Interest write_needs() const noexcept override { return write_needs_; }
  [[nodiscard]] bool has_input() const noexcept override { return !ahead_.empty(); }
  [[nodiscard]] std::error_code error(IoResult failed) const noexcept override;

 private:
  bool swap(Interest& needs, Interest own, Interest other);

  Script& script_;
  Interest read_needs_ = Interest::read, write_needs_ = Interest::write;
  std::string ahead_;
};

// Applies the mark to `text`, or removes it.
[[nodiscard]] std::string marked(std::string text);

}  // namespace reactor
