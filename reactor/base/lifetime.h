// SPDX-License-Identifier: MIT
// Lifetime tells a function that calls user code whether its object survived the call.
//
//   void Server::accept(Socket socket) {
//     const Lifetime::Watch server(lifetime_);
//     handler_(socket);
//     if (server.over()) return;  // the handler destroyed this Server
//   }
#pragma once

#include <utility>

namespace reactor {

// A Lifetime is a member of its object. It takes one pointer; making a Watch costs a few stores.
class Lifetime {
 public:
  class Watch;

  Lifetime() noexcept = default;
  Lifetime(const Lifetime&) = delete;
  Lifetime& operator=(const Lifetime&) = delete;
  ~Lifetime() { end(); }

  // Marks the object as ended although its memory stays: over() becomes true for every Watch.
  inline void end() noexcept;

 private:
  Watch* newest_ = nullptr;
};

// A Watch is a local variable of a member function. Watches of one Lifetime are destroyed in the
// reverse order of their construction.
class Lifetime::Watch {
 public:
  explicit Watch(Lifetime& lifetime) noexcept;
  Watch(const Watch&) = delete;
  Watch& operator=(const Watch&) = delete;
  ~Watch() {
    if (lifetime_ != nullptr) lifetime_->newest_ = older_;
  }

  // Returns whether the Lifetime has ended since this Watch was made.
  [[nodiscard]] bool over() const noexcept { return lifetime_ == nullptr; }

 private:
  friend class Lifetime;
  Lifetime* lifetime_;
  Watch* older_;
};

inline void Lifetime::end() noexcept {
  for (Watch* watch = std::exchange(newest_, nullptr); watch != nullptr; watch = watch->older_) {
    watch->lifetime_ = nullptr;
  }
}

}  // namespace reactor
