// SPDX-License-Identifier: MIT
// NetContext: what the streams of one loop share. Private to net/.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <system_error>
#include <unordered_map>

#include "reactor/loop/loop.h"
#include "reactor/net/linger.h"
#include "reactor/net/proxy.h"

namespace reactor {

class Listener;
class Stream;

class NetContext final : public LoopExtension {
 public:
  // Octets that are collected before they are sent; also the most that one write_room() gives.
  static constexpr std::size_t kBatchSize = 64 * 1024;

  // The loop's one, made at the first call.
  [[nodiscard]] static NetContext& of(Loop& loop);

  explicit NetContext(Loop& owner)
      : loop(owner),
        scratch(owner.scratch()),
        lingerers(owner),
        batch_(new std::byte[kBatchSize]) {}

  // Room behind what is collected.
  [[nodiscard]] std::span<std::byte> batch_room() noexcept {
    return {batch_.get() + batch_used, kBatchSize - batch_used};
  }
  // What is collected; it is empty from here on.
  [[nodiscard]] std::span<const std::byte> take_batch() noexcept {
    const std::span<const std::byte> batch(batch_.get(), batch_used);
    batch_used = 0;
    return batch;
  }

  Loop& loop;
  const std::span<std::byte> scratch;  // the loop's
  // The stream whose callback runs: writes to it are collected. Set to null when it is destroyed,
  // which is how the code behind the callback learns of it.
  Stream* active = nullptr;
  std::size_t batch_used = 0;
  // The listener that is accepting; likewise.
  const Listener* accepting = nullptr;
  // Errors on their way to on_close.
  std::unordered_map<const Stream*, std::error_code> failures;
  // What Stream::announce() said.
  std::unordered_map<const Stream*, ProxiedAddresses> announced;
  Lingerers lingerers;

 private:
  std::unique_ptr<std::byte[]> batch_;
};

}  // namespace reactor
