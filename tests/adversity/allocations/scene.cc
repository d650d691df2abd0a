// SPDX-License-Identifier: MIT
#include "tests/adversity/allocations/scene.h"

#include <new>

namespace reactor::allocations {

// The loop still works after an exception (G6): a few turns without faults handle the rest of the
// batch.
void Scene::turn(Duration limit) {
  try {
    get(loop.run_once(limit));
  } catch (const std::bad_alloc&) {
    Faults::end();
    for (int turns = 0; turns < 3; ++turns) {
      try {
        get(loop.poll());
      } catch (const std::bad_alloc&) {  // a second exception leaves a turn of its own
      }
    }
    throw LeftRun{};
  }
  if (told_) throw Told{*told_};
}

Client::Client(Scene& scene, const Address& server) : scene_(scene) {
  const Unfailing unfailing;
  peer_.fd = Socket::connect(server).value().release();
}

Client::Client(Scene& scene, UniqueFd connected) noexcept : scene_(scene) {
  peer_.fd = std::move(connected);
}

void Client::read() {
  const Unfailing unfailing;
  peer_.read();
}

void Client::write(std::string_view text) {
  std::size_t done = 0;
  scene_.until([&] {
    read();
    done += peer_.write(text.substr(done));
    if (done == text.size()) return true;
    if (peer_.over()) throw Told{std::make_error_code(std::errc::connection_reset)};
    return false;
  });
}

void Client::await(std::string_view text) {
  scene_.until([&] {
    read();
    if (peer_.got.find(text) != std::string::npos) return true;
    if (peer_.over()) throw Told{std::make_error_code(std::errc::connection_reset)};
    return false;
  });
}

void Client::await_end() {
  scene_.until([&] {
    read();
    return peer_.over();
  });
  if (peer_.error != 0) throw Told{std::error_code(peer_.error, std::generic_category())};
}

}  // namespace reactor::allocations
