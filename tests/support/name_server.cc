// SPDX-License-Identifier: MIT
#include "tests/support/name_server.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <utility>

namespace reactor {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::uint16_t kTypeA = 1, kTypeAaaa = 28;

void put16(std::string& out, unsigned value) {
  out += static_cast<char>(value >> 8);
  out += static_cast<char>(value & 0xff);
}

unsigned get16(std::string_view in, std::size_t at) {
  return static_cast<unsigned>(static_cast<unsigned char>(in.at(at)) << 8 |
                               static_cast<unsigned char>(in.at(at + 1)));
}

std::string bytes_of(const Address& address) {
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, address.data(), sizeof(v4));
    return {reinterpret_cast<const char*>(&v4.sin_addr), sizeof(v4.sin_addr)};
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, address.data(), sizeof(v6));
  return {reinterpret_cast<const char*>(&v6.sin6_addr), sizeof(v6.sin6_addr)};
}

void put_record(std::string& out, const Address& address) {
  const std::string bytes = bytes_of(address);
  put16(out, 0xc00c);  // the name of the question
  put16(out, address.family() == AF_INET ? kTypeA : kTypeAaaa);
  put16(out, 1);  // IN
  put16(out, 0);
  put16(out, 60);  // time to live, in seconds
  put16(out, static_cast<unsigned>(bytes.size()));
  out += bytes;
}

}  // namespace

NameServer::NameServer(Loop& loop) : loop_(&loop) {
  for (int i = 0; i < 20 && !tcp_; ++i) bind();
  EXPECT_TRUE(tcp_) << "no port is free for both";
  udp_watcher_ = loop.watch(udp_.fd(), Interest::read, [this](Ready) { on_datagram(); }).value();
  tcp_watcher_ = loop.watch(tcp_.fd(), Interest::read, [this](Ready) { on_connection(); }).value();
  udp_watcher_.unref();
  tcp_watcher_.unref();
}

void NameServer::bind() {
  udp_ = Socket::open(AF_INET, SOCK_DGRAM).value();
  const Address any = Address::loopback(0);
  EXPECT_EQ(::bind(udp_.fd(), any.data(), any.size()), 0);
  address_ = udp_.local().value();
  Result<Socket> tcp = Socket::listen(address_, {});
  if (tcp) tcp_ = std::move(*tcp);
}

void NameServer::on_datagram() {
  std::array<char, 1500> buffer;
  sockaddr_storage from{};
  socklen_t length = sizeof(from);
  const ssize_t count = ::recvfrom(udp_.fd(), buffer.data(), buffer.size(), 0,
                                   reinterpret_cast<sockaddr*>(&from), &length);
  if (count < static_cast<ssize_t>(kHeader)) return;
  const Question question = parse({buffer.data(), static_cast<std::size_t>(count)}, false);
  const Entry& entry = find(question);
  const std::string reply = reply_to(question, entry);
  if (reply.empty()) return;
  const Address to = Address::from(reinterpret_cast<const sockaddr*>(&from), length);
  const auto send = [this, reply, to] {
    ::sendto(udp_.fd(), reply.data(), reply.size(), 0, to.data(), to.size());
  };
  const Duration delay = question.v6 ? entry.v6_delay : entry.v4_delay;
  if (delay > Duration::zero()) return later(delay, send);
  send();
}

void NameServer::later(Duration delay, Callback<void()> call) {
  timers_.push_back(loop_->after(delay, std::move(call)));
  timers_.back().unref();
}

void NameServer::on_connection() {
  Result<Socket> accepted = Socket::accept(tcp_.fd());
  if (!accepted || !*accepted) return;
  const int fd = accepted->fd();
  Client& client = clients_[fd];
  client.socket = std::move(*accepted);
  client.watcher =
      loop_->watch(fd, Interest::read, [this, fd](Ready) { on_bytes(clients_.at(fd)); }).value();
  client.watcher.unref();
}

void NameServer::on_bytes(Client& client) {
  std::array<std::byte, 4096> buffer;
  const IoResult result = Socket::receive(client.socket.fd(), buffer);
  if (result.would_block()) return;
  if (!result.ok()) {
    clients_.erase(client.socket.fd());
    return;
  }
  client.in.append(reinterpret_cast<const char*>(buffer.data()), result.count());
  if (client.in.size() < 2 || client.in.size() < 2 + get16(client.in, 0)) return;
  const Question question = parse(client.in.substr(2, get16(client.in, 0)), true);
  client.in.erase(0, 2 + question.message.size());
  const Entry& entry = find(question);
  if (entry.mood == Mood::hangs_up) {
    Socket::reset_on_close(client.socket.fd());
    clients_.erase(client.socket.fd());
    return;
  }
  const std::string reply = reply_to(question, entry);
  std::string framed;
  put16(framed, static_cast<unsigned>(reply.size()));
  framed += reply;
  EXPECT_TRUE(
      Socket::send(client.socket.fd(), std::as_bytes(std::span(framed))).moved(framed.size()));
}

NameServer::Question NameServer::parse(std::string message, bool tcp) {
  Question question;
  std::size_t at = kHeader;
  while (message.at(at) != 0) {
    const auto length = static_cast<unsigned char>(message.at(at));
    if (!question.name.empty()) question.name += '.';
    question.name += message.substr(at + 1, length);
    at += length + 1U;
  }
  question.v6 = get16(message, at + 1) == kTypeAaaa;
  message.resize(at + 5);  // drops all that follows the question
  question.message = std::move(message);
  question.tcp = tcp;
  return question;
}

const NameServer::Entry& NameServer::find(const Question& question) {
  static const Entry kNone = {{}, 3, Mood::answers, Duration(0), Duration(0)};
  asked.push_back((question.v6 ? "AAAA " : "A ") + question.name + (question.tcp ? " tcp" : ""));
  const auto found = table.find(question.name);
  return found == table.end() ? kNone : found->second;
}

std::string NameServer::reply_to(const Question& question, const Entry& entry) const {
  const bool mute = entry.mood == Mood::is_mute_v6 && question.v6;
  if (entry.mood == Mood::silent || mute) return {};
  const bool cut = !question.tcp && (entry.mood == Mood::truncates || entry.mood == Mood::hangs_up);
  std::vector<Address> records;
  for (const Address& address : entry.addresses) {
    if (!cut && (address.family() == AF_INET6) == question.v6) records.push_back(address);
  }
  std::string reply = question.message.substr(0, 2);
  if (entry.mood == Mood::misleads) reply[0] = static_cast<char>(~reply[0]);
  put16(reply, 0x8180U | (cut ? 0x0200U : 0U) | static_cast<unsigned>(entry.code));
  put16(reply, 1);
  put16(reply, static_cast<unsigned>(records.size()));
  put16(reply, 0);
  put16(reply, 0);
  reply += question.message.substr(kHeader);
  for (const Address& address : records) put_record(reply, address);
  if (entry.mood == Mood::babbles) reply.resize(reply.size() - 3);
  return reply;
}

}  // namespace reactor
