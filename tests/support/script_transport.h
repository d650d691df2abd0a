// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "reactor/net/transport.h"

namespace reactor {

// A Transport whose manners a test chooses. What it carries is marked, so that nothing can go
// around it: each octet is exclusive-or'ed with kMark. Its log lives in the test.
class ScriptTransport final : public Transport {
 public:
  static constexpr char kMark = 0x20;

  struct Script {
    std::size_t piece = 1 << 20;  // octets that one call moves at the most
    std::size_t read_ahead = 0;   // octets it takes from the kernel before it is asked for them
    int open_rounds = 0;          // octets that it needs from the peer before it is open
    bool writes_first = false;    // and it answers each of them
    int swaps = 0;                // reads and writes that fail, wanting the other direction
    int reluctant_ends = 0;       // end_writing() that give would-block first
    int fail_read_with = 0;       // errno
    std::error_code error_name;   // what error() calls any error; empty: its errno
    Duration open_limit = std::chrono::seconds(10);

    int opens = 0, reads = 0, writes = 0, ends = 0;  // calls
    bool destroyed = false;
  };

  explicit ScriptTransport(Script& script) : script_(script) {}
  ~ScriptTransport() override { script_.destroyed = true; }

  IoResult open(int fd) override;
  [[nodiscard]] Duration open_limit() const noexcept override { return script_.open_limit; }
  IoResult read(int fd, std::span<std::byte> buffer) override;
  IoResult write(int fd, std::span<const std::byte> bytes) override;
  IoResult end_writing(int fd) override;
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

// What the peer sees of `text`, and the other way round.
[[nodiscard]] std::string marked(std::string text);

}  // namespace reactor
