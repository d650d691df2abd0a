// SPDX-License-Identifier: MIT
#include "tests/fuzz/fake_net.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/fuzz/fuzz.h"

namespace reactor::fuzz {
namespace {

FakeNet* the_net = nullptr;

int fails(int number) {
  errno = number;
  return -1;
}

// Returns how many of `size` bytes the script lets pass: at least one.
std::size_t share(unsigned code, std::size_t size) {
  if ((code & 7U) == 3) return std::min<std::size_t>(size, 1);
  if ((code & 7U) == 4) return std::min<std::size_t>(size, 1 + (code >> 3U));
  return size;
}

}  // namespace

FakeNet::FakeNet(std::string_view script, const std::vector<std::string_view>& inputs)
    : script_(script) {
  for (const std::string_view input : inputs) clients_.push_back({.input = input, .output = {}});
  the_net = this;
}

FakeNet::~FakeNet() { the_net = nullptr; }

FakeNet& FakeNet::current() {
  demand(the_net != nullptr, "a call while there is no network");
  return *the_net;
}

unsigned FakeNet::next() {
  ++calls_;
  return at_ < script_.size() ? static_cast<unsigned char>(script_[at_++]) : 0U;
}

// Returns the newest client with that number, because numbers are reused.
FakeClient& FakeNet::client_of(int fd) {
  const auto found = std::find_if(clients_.rbegin(), clients_.rend(),
                                  [fd](const FakeClient& client) { return client.fd == fd; });
  demand(found != clients_.rend(), "a call for a socket that is none");
  return *found;
}

int FakeNet::accept() {
  if (all_accepted()) return fails(EAGAIN);
  const unsigned code = next();
  constexpr int kFailures[] = {ECONNABORTED, EMFILE, ENFILE, ENOMEM, EPROTO, ENOBUFS};
  switch (code & 7U) {
    case 4:
    case 5:
      return fails(EAGAIN);
    case 6:
      return fails(EINTR);
    case 7:
      return fails(kFailures[(code >> 3U) % std::size(kFailures)]);
    default:
      break;
  }
  const int fd = ::eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  if (fd >= 0) clients_[accepted_++].fd = fd;
  return fd;
}

std::ptrdiff_t FakeNet::receive(int fd, void* buffer, std::size_t size) {
  FakeClient& client = client_of(fd);
  if (client.reset) return fails(ECONNRESET);
  const unsigned code = next();
  constexpr int kFailures[] = {ECONNRESET, 0, ETIMEDOUT};
  switch (code & 7U) {
    case 5:
      return fails(EAGAIN);
    case 6:
      return fails(EINTR);
    case 7: {
      const int number = kFailures[(code >> 3U) % std::size(kFailures)];
      client.reset = client.reset || number != 0 || !client.input.empty();
      client.input = {};
      return number == 0 ? 0 : fails(number);
    }
    default:
      break;
  }
  const std::size_t count = share(code, std::min(size, client.input.size()));
  if (count != 0) std::memcpy(buffer, client.input.data(), count);
  client.input.remove_prefix(count);
  return static_cast<std::ptrdiff_t>(count);
}

std::ptrdiff_t FakeNet::send(int fd, const void* bytes, std::size_t size) {
  FakeClient& client = client_of(fd);
  demand(!client.shut, "nothing is sent behind the end");
  if (client.reset) return fails(EPIPE);
  const unsigned code = next();
  switch (code & 7U) {
    case 5:
      return fails(EAGAIN);
    case 6:
      return fails(EINTR);
    case 7:
      client.reset = true;
      client.input = {};
      return fails((code >> 3U) % 2 == 0 ? EPIPE : ECONNRESET);
    default:
      break;
  }
  const std::size_t count = share(code, size);
  client.output.append(static_cast<const char*>(bytes), count);
  return static_cast<std::ptrdiff_t>(count);
}

int FakeNet::shut(int fd) {
  client_of(fd).shut = true;
  return 0;
}

}  // namespace reactor::fuzz
