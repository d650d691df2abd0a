// SPDX-License-Identifier: MIT
// Two UDP sockets, of which one sends numbered datagrams to the other.
#include <cstring>

#include "reactor/net/datagram/datagram.h"
#include "tests/adversity/programs/world.h"

namespace reactor::programs {
namespace {

class DatagramActor final : public Actor, private DatagramHandler {
 public:
  explicit DatagramActor(World& world) : Actor(world) { renew(); }

  void apply(const Operation& operation) override {
    if (operation.action == Action::send) send(operation.amount % 1400);
    if (operation.action == Action::pause_datagrams) receiver_->pause_reading();
    if (operation.action == Action::resume_datagrams) receiver_->resume_reading();
    if (operation.action == Action::renew_datagram) renew();
  }
  void relax() override { receiver_->resume_reading(); }
  [[nodiscard]] bool waits() const override { return last_ < sent_; }
  void end() override {
    receiver_.reset();
    sender_.reset();
  }
  void check() override {}

 private:
  static constexpr std::uint64_t kMost = 40;

  struct Header {
    std::uint64_t number;
    std::uint64_t socket;
  };

  void renew() {
    receiver_.reset();
    sender_.reset();
    receiver_ = Datagram::bind(loop(), Address::loopback(0), *this).value();
    sender_ = Datagram::bind(loop(), Address::loopback(0), *this).value();
    ++sockets_;
    last_ = sent_ = 0;
  }
  // No more than the kernel surely keeps.
  void send(std::size_t size) {
    if (sent_ - last_ >= kMost) return;
    std::vector<std::byte> bytes = bytes_from(size, sizeof(Header) + size);
    const Header header{++sent_, sockets_};
    std::memcpy(bytes.data(), &header, sizeof(header));
    sender_->send_to(bytes, receiver_->address());
  }
  void on_datagram(Datagram& socket, const Message& message) override {
    Callback callback(*this, world());
    require(&socket == receiver_.get(), Rule::after_the_end, "a Datagram");
    const std::span<const std::byte> bytes = message.bytes();
    Header header{};
    require(bytes.size() >= sizeof(header), Rule::datagrams, "cut");
    std::memcpy(&header, bytes.data(), sizeof(header));
    const std::size_t size = bytes.size() - sizeof(header);
    require(are_bytes_from(size + sizeof(header), bytes.subspan(sizeof(header))), Rule::datagrams);
    require(header.socket == sockets_, Rule::datagrams, "another socket's");
    require(header.number == last_ + 1, Rule::datagrams, "their order");
    last_ = header.number;
    callback.finish();
  }

  std::unique_ptr<Datagram> receiver_, sender_;
  std::uint64_t sockets_ = 0, sent_ = 0, last_ = 0;
};

}  // namespace

Actors make_datagrams(World& world) {
  Actors actors;
  for (int i = 0; i < 2; ++i) actors.push_back(std::make_unique<DatagramActor>(world));
  return actors;
}

}  // namespace reactor::programs
