// SPDX-License-Identifier: MIT
// NetContext: what the streams of one loop share. Private to net/.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <system_error>
#include <unordered_map>
#include <vector>

#include "reactor/base/poison.h"
#include "reactor/base/source_location.h"
#include "reactor/loop/loop.h"
#include "reactor/net/linger.h"
#include "reactor/net/opening_queue.h"
#include "reactor/net/proxy.h"

namespace reactor {

class Stream;

class NetContext final : public LoopExtension {
 public:
  // The most that one write_room() gives.
  static constexpr std::size_t kBatchSize = 64 * 1024;
  // Small writes are collected up to this, and then sent: what the kernel does not take of a batch
  // has to be queued, for a peer that does not read.
  static constexpr std::size_t kBatchGoal = 16 * 1024;

  // The loop's one, made at the first call. Throws std::bad_alloc.
  [[nodiscard]] static NetContext& of(Loop& loop);

  explicit NetContext(Loop& owner)
      : loop(owner), scratch(owner.scratch()), lingerers(owner), batch_(new std::byte[kBatchSize]) {
    close_batch();
  }
  ~NetContext() override;

  // The first `count` bytes of the room behind what is collected, open for writing.
  [[nodiscard]] std::span<std::byte> open_batch(std::size_t count) noexcept {
    const std::span<std::byte> room(batch_.get() + batch_used, count);
    unpoison(room);
    return room;
  }
  [[nodiscard]] std::size_t batch_room() const noexcept { return kBatchSize - batch_used; }
  // Nobody writes there from here on.
  void close_batch() noexcept { poison({batch_.get(), kBatchSize}); }
  // What is collected; it is empty from here on.
  [[nodiscard]] std::span<const std::byte> take_batch() noexcept {
    const std::span<const std::byte> batch(batch_.get(), batch_used);
    unpoison(batch);
    batch_used = 0;
    return batch;
  }

  // A number for a line that makes Streams, in place of the line in each of them. There are few;
  // the last number is that of all beyond kPlaces, and names none.
  [[nodiscard]] std::uint8_t number_of(SourceLocation place) noexcept {
    const SourceLocation& last = places_[last_place_];
    const bool same = last.line() == place.line() && last.file_name() == place.file_name();
    return same ? last_place_ : find_place(place);
  }
  [[nodiscard]] SourceLocation place(std::uint8_t number) const noexcept { return places_[number]; }

  Loop& loop;
  const std::span<std::byte> scratch;  // the loop's
  // The stream whose callback runs: writes to it are collected. Set to null when it is destroyed,
  // which is how the code behind the callback learns of it.
  Stream* active = nullptr;
  std::size_t batch_used = 0;
  // The active stream ends inside its callback, whose rest may do anything but write to it.
  void abandon_callback() noexcept {
    active = nullptr;
    batch_used = 0;
    abandoned = true;
  }
  bool abandoned = false;  // until that callback is over
  // Whether a stream's callback runs: no other one may begin, and the scratch may be lent.
  [[nodiscard]] bool in_callback() const noexcept { return active != nullptr || abandoned; }
  // Keeps why `stream` failed on its way to on_close(). If there is no memory for that, the want of
  // memory becomes the reason.
  void note_failure(const Stream& stream, std::error_code error) noexcept;
  [[nodiscard]] std::error_code take_failure(const Stream& stream) noexcept;
  // What Stream::announce() said, and to which Stream.
  struct Announcement {
    ProxiedAddresses addresses;
    Stream* stream;
  };
  std::unordered_map<const Stream*, Announcement> announced;
  Lingerers lingerers;
  // Of transports whose opening takes long; made for the first.
  [[nodiscard]] OpeningQueue& openings();
  [[nodiscard]] std::size_t openings_waiting() const noexcept {
    return openings_ == nullptr ? 0 : openings_->size();
  }
  // Children that are yet to end, of each Process that is gone.
  std::list<std::unique_ptr<LoopExtension>> wards;
  // The DatagramExchange, made for the first Datagram.
  std::unique_ptr<LoopExtension> datagrams;

 private:
  static constexpr std::size_t kPlaces = 256;
  [[nodiscard]] std::uint8_t find_place(SourceLocation place) noexcept;

  std::unordered_map<const Stream*, std::error_code> failures_;
  std::unique_ptr<std::byte[]> batch_;
  std::unique_ptr<OpeningQueue> openings_;
  std::uint8_t last_place_ = 0;
  std::size_t places_used_ = 1;  // the first is the unknown one
  std::array<SourceLocation, kPlaces> places_;
};

}  // namespace reactor
