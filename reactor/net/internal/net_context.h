// SPDX-License-Identifier: MIT
// NetContext holds everything that the Streams of one loop share: the batch of collected writes,
// the Stream whose callback runs, errors on their way to on_close(), lingering sockets, and
// openings. Private to net/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <system_error>
#include <unordered_map>
#include <utility>
#include <vector>

#include "reactor/base/internal/poison.h"
#include "reactor/base/source_location.h"
#include "reactor/loop/loop.h"
#include "reactor/net/internal/linger.h"
#include "reactor/net/internal/opening_queue.h"
#include "reactor/net/proxy.h"

namespace reactor {

class Stream;

class NetContext final : public LoopExtension {
 public:
  // The most bytes that one write_room() lends.
  static constexpr std::size_t kBatchSize = 64 * 1024;
  // Small writes are collected up to this size, and then sent. The size is small because, if a peer
  // does not read, the part of a batch that the kernel does not take has to be queued.
  static constexpr std::size_t kBatchGoal = 16 * 1024;

  // Returns the loop's NetContext, which is made at the first call. Throws std::bad_alloc.
  [[nodiscard]] static NetContext& of(Loop& loop);

  explicit NetContext(Loop& owner)
      : loop(owner), scratch(owner.scratch()), lingerers(owner), batch_(new std::byte[kBatchSize]) {
    close_batch();
  }
  ~NetContext() override;

  // Returns the first `count` bytes of the free room after the collected bytes, unpoisoned.
  [[nodiscard]] std::span<std::byte> open_batch(std::size_t count) noexcept {
    const std::span<std::byte> room(batch_.get() + batch_used, count);
    unpoison(room);
    return room;
  }
  [[nodiscard]] std::size_t batch_room() const noexcept { return kBatchSize - batch_used; }
  // Poisons the batch: nothing may read or write it until it is opened or taken again.
  void close_batch() noexcept { poison({batch_.get(), kBatchSize}); }
  // Returns the collected bytes, unpoisoned, and counts the batch as empty.
  [[nodiscard]] std::span<const std::byte> take_batch() noexcept {
    const std::span<const std::byte> batch(batch_.get(), batch_used);
    unpoison(batch);
    batch_used = 0;
    return batch;
  }

  // Returns a number for a source line that makes Streams, so that a Stream needs one byte for it.
  // Programs have few such lines. When the table is full, all further lines get its last number,
  // which stands for an unknown line.
  [[nodiscard]] std::uint8_t number_of(SourceLocation place) noexcept {
    const SourceLocation& last = places_[last_place_];
    const bool same = last.line() == place.line() && last.file_name() == place.file_name();
    return same ? last_place_ : find_place(place);
  }
  [[nodiscard]] SourceLocation place(std::uint8_t number) const noexcept { return places_[number]; }

  Loop& loop;
  const std::span<std::byte> scratch;  // the loop's
  // The Stream whose callback runs: writes to it are collected. The Stream's destructor sets this
  // to null, so the code after the callback learns that the Stream is gone.
  Stream* active = nullptr;
  std::size_t batch_used = 0;
  // Called when the active Stream is destroyed, or ended, inside its callback. The rest of that
  // callback may do anything but use this Stream.
  void abandon_callback() noexcept {
    active = nullptr;
    batch_used = 0;
    abandoned = true;
  }
  bool abandoned = false;  // until the callback of such a Stream is over
  // While a NoCallbacks exists, no callback of a Stream begins. It guards the calls of a transport,
  // which is user code too.
  class NoCallbacks {
   public:
    explicit NoCallbacks(NetContext& context) noexcept
        : context_(context),
          active_(context.active),
          before_(std::exchange(context.abandoned, true)) {}
    NoCallbacks(const NoCallbacks&) = delete;
    NoCallbacks& operator=(const NoCallbacks&) = delete;
    // The call may have destroyed the Stream whose callback made it.
    ~NoCallbacks() { context_.abandoned = before_ || context_.active != active_; }

   private:
    NetContext& context_;
    const Stream* active_;
    bool before_;
  };
  // Returns whether a Stream's callback runs. If so, no other callback may begin, and the scratch
  // memory may be in use.
  [[nodiscard]] bool in_callback() const noexcept { return active != nullptr || abandoned; }
  // Keeps the error of `stream` until on_close(). If there is no memory to keep it, take_failure()
  // returns not_enough_memory instead.
  void note_failure(const Stream& stream, std::error_code error) noexcept;
  [[nodiscard]] std::error_code take_failure(const Stream& stream) noexcept;
  // Announcement has the addresses that Stream::announce() got, and the Stream.
  struct Announcement {
    ProxiedAddresses addresses;
    Stream* stream;
  };
  std::unordered_map<const Stream*, Announcement> announced;
  Lingerers lingerers;
  // Returns the queue of costly openings, which is made at the first call.
  [[nodiscard]] OpeningQueue& openings();
  [[nodiscard]] std::size_t openings_waiting() const noexcept {
    return openings_ == nullptr ? 0 : openings_->size();
  }
  // The DatagramExchange, which is made for the first Datagram.
  std::unique_ptr<LoopExtension> datagrams;

 private:
  static constexpr std::size_t kPlaces = 256;
  [[nodiscard]] std::uint8_t find_place(SourceLocation place) noexcept;

  std::unordered_map<const Stream*, std::error_code> failures_;
  std::unique_ptr<std::byte[]> batch_;
  std::unique_ptr<OpeningQueue> openings_;
  std::uint8_t last_place_ = 0;
  std::size_t places_used_ = 1;  // number 0 is the unknown line
  std::array<SourceLocation, kPlaces> places_;
};

}  // namespace reactor
