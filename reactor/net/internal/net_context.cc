// SPDX-License-Identifier: MIT
#include "reactor/net/internal/net_context.h"

#include "reactor/net/stream/stream.h"

namespace reactor {

// The loop itself tells attached Streams that it ends. A Stream that has not started is not
// attached. If announce() was called on such a Stream, its kUnattached flag is cleared here, so
// that its destructor does not use the loop, which is then gone.
NetContext::~NetContext() {
  for (const auto& [key, said] : announced) said.stream->clear(Stream::kUnattached);
}

NetContext& NetContext::of(Loop& loop) {
  if (LoopExtension* made = loop.extension(Layer::net)) return static_cast<NetContext&>(*made);
  auto context = std::make_unique<NetContext>(loop);
  NetContext& result = *context;
  loop.set_extension(Layer::net, std::move(context));
  return result;
}

void NetContext::note_failure(const Stream& stream, std::error_code error) noexcept {
  try {
    failures_.emplace(&stream, error);
  } catch (const std::bad_alloc&) {
  }
}

std::error_code NetContext::take_failure(const Stream& stream) noexcept {
  const auto found = failures_.find(&stream);
  if (found == failures_.end()) return std::make_error_code(std::errc::not_enough_memory);
  const std::error_code error = found->second;
  failures_.erase(found);
  return error;
}

OpeningQueue& NetContext::openings() {
  if (openings_ == nullptr) openings_ = std::make_unique<OpeningQueue>(loop);
  return *openings_;
}

// The table never moves, because a signal handler may read it (Loop::current()).
std::uint8_t NetContext::find_place(SourceLocation place) noexcept {
  std::size_t number = 0;
  while (number < places_used_ && (places_[number].line() != place.line() ||
                                   places_[number].file_name() != place.file_name())) {
    ++number;
  }
  if (number == places_used_ && number < kPlaces - 1) places_[places_used_++] = place;
  last_place_ = static_cast<std::uint8_t>(number);
  return last_place_;
}

}  // namespace reactor
