// SPDX-License-Identifier: MIT
// Steering: a classic BPF program that compares the number of the receiving processor with each
// entry of `processors`. It returns the index of the equal entry, which is also the index of the
// socket. If no entry is equal, it spreads the connections by the processor's number.
#include "reactor/prefork/internal/system/steering.h"

#include "reactor/base/error.h"
#if defined(__linux__)
#include <linux/filter.h>
#include <sys/socket.h>

#include <cstdint>
#include <vector>
#endif

namespace reactor::prefork {

#if defined(__linux__)

namespace {

// A filter has at most 4,096 instructions. Each processor takes two.
constexpr std::size_t kMostSteered = 1000;

}  // namespace

std::error_code steer_by_processor(int listener, std::span<const int> processors) {
  if (processors.empty() || processors.size() > kMostSteered) return Errc::not_supported;
  constexpr auto kProcessor = static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_CPU);
  std::vector<sock_filter> code{BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kProcessor)};
  for (std::size_t i = 0; i < processors.size(); ++i) {
    const auto processor = static_cast<std::uint32_t>(processors[i]);
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, processor, 0, 1));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, static_cast<std::uint32_t>(i)));
  }
  code.push_back(
      BPF_STMT(BPF_ALU | BPF_MOD | BPF_K, static_cast<std::uint32_t>(processors.size())));
  code.push_back(BPF_STMT(BPF_RET | BPF_A, 0));
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  const int done =
      ::setsockopt(listener, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof(program));
  return done == 0 ? std::error_code{} : last_system_error();
}

void stop_steering([[maybe_unused]] int listener) noexcept {
#if defined(SO_DETACH_REUSEPORT_BPF)
  const int unused = 0;
  ::setsockopt(listener, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, &unused, sizeof(unused));
#endif
}

#else

std::error_code steer_by_processor(int, std::span<const int>) { return Errc::not_supported; }
void stop_steering(int) noexcept {}

#endif

}  // namespace reactor::prefork
