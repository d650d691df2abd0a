// SPDX-License-Identifier: MIT
// A peer that does not read costs limited memory: the high-water mark and one write, or 16 KiB of
// small writes that were collected before there was a queue.
#include <algorithm>
#include <string>

#include "tests/support/loop_test.h"
#include "tests/support/stream_kit.h"

namespace reactor {
namespace {

class SlowPeer : public LoopTest {};

constexpr std::size_t kPiece = 100;
constexpr std::size_t kMost = 16 * 1024 + kPiece;

// Writes while the stream is writable, with write() or, if `in_place`, with write_room() and
// wrote().
void fill_stream(Stream& stream, bool in_place) {
  const std::string piece(kPiece, 'x');
  for (int i = 0; i < 200000 && stream.writable(); ++i) {
    if (!in_place) {
      stream.write(piece);
      continue;
    }
    const auto bytes = std::as_bytes(std::span(piece));
    std::copy(bytes.begin(), bytes.end(), stream.write_room(kPiece).begin());
    stream.wrote(kPiece);
  }
}

TEST_P(SlowPeer, SmallWritesCountForTheMark) {
  for (const bool in_place : {false, true}) {
    Loop loop(options());
    StreamOptions settings;
    settings.high_water = 4096;
    settings.low_water = 1024;
    Link link(loop, settings, &make_socket_pair);
    link.handler.when_data = [&](Stream& stream, std::string_view) {
      fill_stream(stream, in_place);
    };
    std::size_t most = 0;
    link.handler.when_drain = [&](Stream& stream) {
      fill_stream(stream, in_place);
      most = std::max(most, stream.queued());
    };
    link.start();
    link.peer.write("x");
    EXPECT_TRUE(run_bounded(loop, [&] { return !link.handler.got.empty(); }));
    EXPECT_FALSE(link.stream->writable());
    EXPECT_LE(link.stream->queued(), kMost);
    // The handler writes more whenever the peer reads a little, but the queue stays below the
    // limit.
    EXPECT_TRUE(pump(loop, [&] {
      link.peer.read();
      most = std::max(most, link.stream->queued());
      return link.handler.drains >= 5;
    }));
    EXPECT_LE(most, kMost);
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, SlowPeer, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
