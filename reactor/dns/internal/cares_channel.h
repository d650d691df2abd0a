// SPDX-License-Identifier: MIT
// Channel runs c-ares's sockets and timeouts on a loop. Private to dns/.
#pragma once

#include <memory>
#include <unordered_map>

#include "reactor/base/result.h"
#include "reactor/loop/loop.h"

struct ares_channeldata;

namespace reactor::dns {

struct ResolverOptions;

class Channel {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Channel>> open(Loop& loop,
                                                             const ResolverOptions& options,
                                                             SourceLocation where);
  // Ends the lookups that are under way with ARES_EDESTRUCTION.
  ~Channel();
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  [[nodiscard]] ares_channeldata* get() const noexcept { return channel_; }

  // Adjusts the timer. Call it after each call of c-ares that may change what c-ares waits for.
  void settle();

 private:
  Channel(Loop& loop, SourceLocation where);
  [[nodiscard]] std::error_code init(const ResolverOptions& options);
  [[nodiscard]] std::error_code set_servers(const ResolverOptions& options);
  static void on_socket_state(void* self, int fd, int readable, int writable) noexcept;
  void watch(int fd, Interest interest);
  void process(int readable_fd, int writable_fd);

  Loop* loop_;
  SourceLocation where_;
  ares_channeldata* channel_ = nullptr;
  std::unordered_map<int, IoWatcher> watchers_;
  Timer timer_;
};

}  // namespace reactor::dns
