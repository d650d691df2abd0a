// SPDX-License-Identifier: MIT
// Cell: one case of the matrix. In the callback (or from there, deferred or posted), the action is
// done, over a transport, on a backend.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/poller/readiness.h"

namespace reactor::adversity {

// How the bytes of the scene's connection move. `extras` is plain with rates, timeouts and counters
// that never take effect, so that the stream takes its slow path.
enum class Carrier : std::uint8_t { plain, extras, proxy, tls };
inline constexpr std::array<std::string_view, 4> kCarrierNames = {"plain", "extras", "proxy",
                                                                  "tls"};

// When the action happens: inside the callback, or in a call that the callback defers or posts.
enum class When : std::uint8_t { now, deferred, posted };
inline constexpr std::array<std::string_view, 3> kWhenNames = {"now", "deferred", "posted"};

struct Cell {
  std::string_view callback, action;
  Carrier carrier = Carrier::plain;
  When when = When::now;
  Backend backend = Backend::automatic;

  [[nodiscard]] std::string_view carrier_name() const {
    return kCarrierNames[static_cast<std::size_t>(carrier)];
  }
  [[nodiscard]] std::string_view when_name() const {
    return kWhenNames[static_cast<std::size_t>(when)];
  }
  // "served" of "served.data".
  [[nodiscard]] std::string_view kind() const { return callback.substr(0, callback.find('.')); }
  // "data" of "served.data".
  [[nodiscard]] std::string_view call() const { return callback.substr(callback.find('.') + 1); }
  // The arguments that make the program play this cell.
  [[nodiscard]] std::string arguments() const {
    std::string text(callback);
    for (const std::string_view part : {action, carrier_name(), when_name(), to_string(backend)}) {
      text.append(" ").append(part);
    }
    return text;
  }
};

}  // namespace reactor::adversity
