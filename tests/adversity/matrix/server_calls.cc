// SPDX-License-Identifier: MIT
// The functions that are given to a Server. A server has only one of each, so there is no sibling.
#include <array>

#include "tests/adversity/matrix/scene.h"

namespace reactor::adversity {
namespace {

// A function that is given to the scene's server.
class OfServer : public Subject {
 public:
  using Subject::Subject;
  [[nodiscard]] bool repeats() const override { return listens(); }
  void far_side() override {
    if (!listens()) clients_.clear();  // idle clients would keep the drain waiting
  }

 protected:
  [[nodiscard]] bool listens() const {
    return scene_.server() != nullptr && !scene_.server()->addresses().empty();
  }
  void knock() { clients_.push_back(scene_.knock_unknown()); }

  std::vector<UniqueFd> clients_;
};

class OfPlacement final : public OfServer {
 public:
  using OfServer::OfServer;
  void provoke() override {
    if (!set_) set(acting());
    set_ = true;
    knock();
  }
  void destroy() override {
    if (scene_.server() != nullptr) scene_.server()->set_placement({});
  }
  void replace() override { set(replacing()); }

 private:
  void set(Callback<void()> call) {
    scene_.server()->set_placement([call = std::move(call)](const Socket&) mutable {
      call();
      return true;
    });
  }
  bool set_ = false;
};

class OfLimit final : public OfServer {
 public:
  using OfServer::OfServer;
  void provoke() override {
    if (!other_) scene_.server()->set_limit(1, acting());
    knock();
  }
  void destroy() override { scene_.server()->set_limit(0, {}); }
  void replace() override {
    other_ = true;
    scene_.server()->set_limit(1, replacing());
  }

 private:
  bool other_ = false;
};

// The server has room for the neighbour and one more connection.
class OfRoom final : public OfServer {
 public:
  using OfServer::OfServer;
  void adjust(ServerLimits& limits) override { limits.max_connections = 2; }
  void provoke() override {
    if (!set_) scene_.server()->set_on_room(acting());
    set_ = true;
    clients_.clear();
    target_ = scene_.server()->accepted();
    for (std::size_t i = scene_.server()->connections(); i < 2; ++i, ++target_) knock();
  }
  void far_side() override {
    const bool waits = listens() && scene_.server()->accepted() < target_;
    if (!waits) clients_.clear();
  }
  void destroy() override { scene_.server()->set_on_room({}); }
  void replace() override { scene_.server()->set_on_room(replacing()); }

 private:
  bool set_ = false;
  std::uint64_t target_ = 0;
};

class OfFactory final : public OfServer, private TransportFactory {
 public:
  using OfServer::OfServer;
  void adjust(ServerLimits& limits) override { limits.transports = this; }
  void provoke() override {
    armed_ = true;
    knock();
  }
  void destroy() override {}

 private:
  std::unique_ptr<Transport> make_transport() override {
    if (std::exchange(armed_, false)) called();
    return nullptr;
  }
  bool armed_ = false;
};

// The constructor of a connection's handler.
class OfConstructor final : public OfServer {
 public:
  using OfServer::OfServer;
  void provoke() override {
    scene_.when_made([this] { called(); });
    knock();
  }
  void destroy() override {}
};

// The function that for_each() calls.
class OfVisit final : public OfServer {
 public:
  using OfServer::OfServer;
  void provoke() override {
    bool visited = false;
    scene_.server()->for_each([this, &visited](Stream&, Side&) {
      if (!std::exchange(visited, true)) called();
    });
  }
  [[nodiscard]] bool repeats() const override { return false; }
  void destroy() override {}
};

// The function that drain() and hand_over() call at the end.
class OfEnd final : public OfServer {
 public:
  using OfServer::OfServer;
  void provoke() override {
    if (std::exchange(provoked_, true)) return;
    if (scene_.cell().call() == "drained") {
      scene_.server()->drain(acting());
    } else {
      scene_.server()->hand_over(scene_.nobody(), acting());
    }
  }
  [[nodiscard]] bool repeats() const override { return scene_.cell().action == "replace"; }
  void destroy() override { scene_.server()->drain({}); }
  void replace() override { scene_.server()->drain(replacing()); }

 private:
  bool provoked_ = false;
};

// The way to another process, which refuses every connection.
class OfTarget final : public OfServer, private HandOverTarget {
 public:
  using OfServer::OfServer;
  void provoke() override {
    for (Connection& connection : scene_.connections()) connection.wish = HandOver::now;
    scene_.server()->hand_over(*this, {});
  }
  [[nodiscard]] bool repeats() const override { return false; }
  void destroy() override {}

 private:
  HandOverReply send(int, std::span<const std::byte>) noexcept override {
    called();
    return HandOverReply::never;
  }
};

constexpr std::array kServerKinds = {
    Kind{"server.placement", &make_only<OfPlacement>},
    Kind{"server.limit", &make_only<OfLimit>},
    Kind{"server.room", &make_only<OfRoom>},
    Kind{"server.factory", &make_only<OfFactory>},
    Kind{"server.constructor", &make_only<OfConstructor>},
    Kind{"server.visit", &make_only<OfVisit>},
    Kind{"server.send", &make_only<OfTarget>},
    Kind{"server.drained", &make_only<OfEnd>},
    Kind{"server.handed_over", &make_only<OfEnd>},
};

}  // namespace

std::span<const Kind> server_kinds() { return kServerKinds; }

}  // namespace reactor::adversity
