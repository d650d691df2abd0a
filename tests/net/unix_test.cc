// SPDX-License-Identifier: MIT
// These tests cover the features that only unix sockets have: files, modes, abstract names,
// credentials, and passed descriptors. fd_passing_test.cc covers descriptors over message_pair().
#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "reactor/net/fd_passing.h"
#include "reactor/net/listener.h"
#include "reactor/net/socket.h"
#include "tests/support/fork.h"
#include "tests/support/loop_test.h"
#include "tests/support/temporary_folder.h"

namespace reactor {
namespace {

std::span<const std::byte> bytes(std::string_view text) { return std::as_bytes(std::span(text)); }

class UnixTest : public ::testing::Test {
 protected:
  FdGuard guard_;
  TemporaryFolder folder_;
};

// ---- The socket's file ----

mode_t mode_of(const std::string& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 0777;
}

TEST_F(UnixTest, TheModeIsAsAskedWhateverTheUmask) {
  ListenOptions options;
  const mode_t before = ::umask(0077);
  int number = 0;
  for (const int mode : {0600, 0660, 0777, 0}) {
    options.unix_mode = mode;
    const std::string name = std::to_string(++number);
    const Socket listener = get(Socket::listen(folder_.socket(name), options));
    EXPECT_EQ(mode_of(folder_.file(name)), static_cast<mode_t>(mode));
  }
  ::umask(0);
  options.unix_mode = 0600;
  const Socket listener = get(Socket::listen(folder_.socket("open"), options));
  EXPECT_EQ(mode_of(folder_.file("open")), 0600U);
  ::umask(before);
}

// Another process that may write to the folder replaces the file with a link as soon as the file
// exists.
TEST_F(UnixTest, TheModeIsNeverAnotherFiles) {
  const std::string victim = folder_.file("victim"), place = folder_.file("s");
  { const UniqueFd made(::open(victim.c_str(), O_CREAT | O_WRONLY, 0600)); }
  std::atomic<bool> done{false};
  std::thread enemy([&] {
    const std::string link = folder_.file("link");
    struct stat status {};
    while (!done) {
      if (::lstat(place.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) continue;
      EXPECT_EQ(::symlink(victim.c_str(), link.c_str()), 0);
      EXPECT_EQ(::rename(link.c_str(), place.c_str()), 0);
    }
  });
  ListenOptions options;
  options.unix_mode = 0666;
  for (int i = 0; i < 5000; ++i) {
    static_cast<void>(Socket::listen(folder_.socket("s"), options));
    ::unlink(place.c_str());
  }
  done = true;
  enemy.join();
  EXPECT_EQ(mode_of(victim), 0600U);
}

TEST_F(UnixTest, WhatFailsMakesNoFile) {
  const std::string longest(107 - folder_.file("").size(), 'p');
  { const Socket fits = get(Socket::listen(folder_.socket(longest), {})); }
  EXPECT_EQ(folder_.files(), 1U);
  EXPECT_EQ(Address::unix_path(folder_.file(longest + "p")).error(), Errc::address_too_long);
  EXPECT_EQ(Socket::listen(folder_.socket("no/such"), {}).error(),
            std::errc::no_such_file_or_directory);
  EXPECT_EQ(folder_.files(), 1U) << "no lock file either";
}

TEST_F(UnixTest, ASymbolicLinkIsNotReplaced) {
  { const Socket dead = get(Socket::listen(folder_.socket("dead"), {})); }
  std::filesystem::create_symlink(folder_.file("dead"), folder_.file("link"));
  EXPECT_EQ(Socket::listen(folder_.socket("link"), {}).error(), std::errc::address_in_use);
  EXPECT_EQ(folder_.files(), 2U);
}

TEST_F(UnixTest, ALiveServerWithAFullBacklogIsNotReplaced) {
  ListenOptions options;
  options.backlog = 1;
  const Socket live = get(Socket::listen(folder_.socket(), options));
  std::vector<Socket> clients;
  for (auto one = Socket::connect(folder_.socket()); one && clients.size() < 100;) {
    clients.push_back(std::move(*one));
    one = Socket::connect(folder_.socket());
  }
  EXPECT_LT(clients.size(), 100U);
  EXPECT_EQ(Socket::listen(folder_.socket(), {}).error(), std::errc::address_in_use);
}

// Several servers start at the same moment. In the even rounds a dead server has left its file.
// Each server reports its result, and lives on until all have reported.
TEST_F(UnixTest, OfServersThatStartAtOnceOneWinsFork) {
  constexpr int kServers = 6;
  for (int round = 0; round < 10; ++round) {
    const std::string name = std::to_string(round);
    if (round % 2 == 0) get(Socket::listen(folder_.socket(name), {})).release().reset();
    FdPair start = make_pipe(), result = make_pipe(), end = make_pipe();
    std::vector<pid_t> children;
    for (int i = 0; i < kServers; ++i) {
      children.push_back(spawn_child([&] {
        start.far.reset();
        end.far.reset();
        for (const int fd : {start.near.get(), end.near.get()}) ::fcntl(fd, F_SETFL, 0);
        char byte = 0;
        static_cast<void>(::read(start.near.get(), &byte, 1) == 0);
        const Result<Socket> mine = Socket::listen(folder_.socket(name), {});
        write_text(result.far.get(), mine ? "W" : "L");
        return static_cast<int>(::read(end.near.get(), &byte, 1));
      }));
    }
    start.far.reset();
    result.far.reset();
    ::fcntl(result.near.get(), F_SETFL, 0);
    std::string outcome;
    while (outcome.size() < kServers) outcome += read_text(result.near.get());
    EXPECT_EQ(std::count(outcome.begin(), outcome.end(), 'W'), 1) << outcome;
    EXPECT_TRUE(Socket::connect(folder_.socket(name))) << "the winner is the one to be found";
    end.far.reset();
    for (const pid_t child : children) EXPECT_EQ(wait_for_child(child), 0);
  }
}

// A server that is bound but does not listen yet looks like a dead one. Only the lock tells them
// apart.
TEST_F(UnixTest, AServerThatIsAboutToListenIsNotReplacedFork) {
  const UniqueFd folder(::open(folder_.file("").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(folder.get(), LOCK_EX), 0);
  const UniqueFd starting(::socket(AF_UNIX, SOCK_STREAM, 0));
  const Address address = folder_.socket();
  ASSERT_EQ(::bind(starting.get(), address.data(), address.size()), 0);
  const FdPair result = make_pipe();
  const pid_t child = spawn_child([&] {
    const std::error_code error = Socket::listen(address, {}).error();
    write_text(result.far.get(), "done");
    return error == std::errc::address_in_use ? 0 : 1;
  });
  pollfd entry{result.near.get(), POLLIN, 0};
  EXPECT_EQ(::poll(&entry, 1, 50), 0) << "it did not wait";
  ASSERT_EQ(::listen(starting.get(), 8), 0);
  ASSERT_EQ(::flock(folder.get(), LOCK_UN), 0);
  EXPECT_EQ(wait_for_child(child), 0);
  EXPECT_TRUE(Socket::connect(address));
}

TEST_F(UnixTest, AFolderThatCanNotBeLockedIsNoHindrance) {
  // This test may run as root, which can read the folder in any mode. So another descriptor holds
  // the lock instead.
  const UniqueFd folder(::open(folder_.file("").c_str(), O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(::flock(folder.get(), LOCK_EX), 0);
  EXPECT_TRUE(Socket::listen(folder_.socket(), {}));
}

// ---- Names ----

#if defined(SO_PEERCRED)
TEST_F(UnixTest, AbstractNamesHaveALengthAndAnyBytes) {
  using std::string_literals::operator""s;
  const std::string base = "reactor-" + std::to_string(::getpid());
  std::vector<Socket> servers;
  for (const std::string& name : {base, base + "\0"s, base + "\0\0x"s, "\0"s + base}) {
    const Address address = get(Address::unix_abstract(name));
    const Socket server = get(Socket::listen(address, {}));
    ASSERT_TRUE(server);
    EXPECT_EQ(server.local().value(), address);
    const Socket client = get(Socket::connect(address));
    EXPECT_EQ(client.peer().value(), address);
    const bool is_text = name.find('\0') == std::string::npos;
    EXPECT_EQ(Address::parse(address.to_string()).has_value(), is_text) << "no text holds a NUL";
    const Socket accepted = get(Socket::accept(server.fd()));
    EXPECT_TRUE(accepted) << "each client reaches its own";
    EXPECT_EQ(accepted.peer().value().size(), sizeof(sa_family_t)) << "two bytes";
    EXPECT_EQ(accepted.peer().value().to_string(), "unix:");
    servers.push_back(get(Socket::accept(server.fd())));
    EXPECT_FALSE(servers.back()) << "and no other one";
  }
}
#endif

// ---- Credentials ----

TEST_F(UnixTest, ThePeersCredentialsAreTold) {
  const Socket listener = get(Socket::listen(folder_.socket(), {}));
  const Socket client = get(Socket::connect(folder_.socket()));
  const Socket server = get(Socket::accept(listener.fd()));
  for (const int fd : {client.fd(), server.fd()}) {
    const PeerCredentials peer = get(Socket::peer_credentials(fd));
    EXPECT_EQ(peer.pid, ::getpid());
    EXPECT_EQ(peer.uid, ::geteuid());
    EXPECT_EQ(peer.gid, ::getegid());
  }
}

TEST_F(UnixTest, CredentialsAreThoseOfTheProcessThatConnectedFork) {
  const Socket listener = get(Socket::listen(folder_.socket(), {}));
  const pid_t child = spawn_child([&] { return Socket::connect(folder_.socket()) ? 0 : 1; });
  EXPECT_EQ(wait_for_child(child), 0);
  const Socket server = get(Socket::accept(listener.fd()));
  EXPECT_EQ(get(Socket::peer_credentials(server.fd())).pid, child) << "though it is gone";
}

TEST_F(UnixTest, CredentialsOfOtherSocketsAreErrors) {
  const Socket tcp = get(Socket::listen(Address::loopback(0), {}));
  EXPECT_EQ(Socket::peer_credentials(tcp.fd()).error(), Errc::not_supported);
  EXPECT_EQ(Socket::peer_credentials(-1).error(), std::errc::bad_file_descriptor);
  const UniqueFd lonely(::socket(AF_UNIX, SOCK_STREAM, 0));
  EXPECT_FALSE(Socket::peer_credentials(lonely.get()));
}

// ---- Passing descriptors over a stream ----

class Passing : public UnixTest {
 protected:
  FdPair ends = make_socket_pair();
  std::array<std::byte, 64> buffer{};
  std::array<UniqueFd, 4> places;

  void TearDown() override {
    ends = {};
    for (UniqueFd& place : places) place.reset();
  }
  Result<ReceivedDescriptors> receive(std::size_t most = 4) {
    return receive_with_descriptors(ends.near.get(), buffer, std::span(places).first(most));
  }
  // Sends `count` copies of a pipe's end, and keeps none open here.
  void send(std::size_t count, std::string_view text = "x") {
    const FdPair pipe = make_pipe();
    const std::vector<int> numbers(count, pipe.near.get());
    ASSERT_TRUE(send_with_descriptors(ends.far.get(), bytes(text), numbers).moved(text.size()));
  }
};

TEST_F(Passing, SeveralDescriptorsComeInOrderAndAreClosedOnExec) {
  std::array<FdPair, 3> pipes{make_pipe(), make_pipe(), make_pipe()};
  const std::array<int, 3> sent{pipes[0].far.get(), pipes[1].far.get(), pipes[2].far.get()};
  ASSERT_TRUE(send_with_descriptors(ends.far.get(), bytes("three"), sent).moved(5));
  const ReceivedDescriptors got = get(receive());
  EXPECT_TRUE(got.bytes.moved(5));
  ASSERT_EQ(got.descriptors, 3U);
  EXPECT_FALSE(places[3]);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NE(::fcntl(places[i].get(), F_GETFD) & FD_CLOEXEC, 0);
    write_text(places[i].get(), std::to_string(i));
    EXPECT_EQ(read_text(pipes[i].near.get()), std::to_string(i));
  }
}

TEST_F(Passing, BytesMayComeWithoutAndBeforeDescriptors) {
  write_text(ends.far.get(), "plain");
  EXPECT_EQ(get(receive()).descriptors, 0U);
  write_text(ends.far.get(), "before");
  send(1, "one");
  send(2, "two");
  const ReceivedDescriptors first = get(receive());
  EXPECT_EQ(first.descriptors, 1U);
  EXPECT_GT(first.bytes.count(), 0U);
  std::size_t descriptors = first.descriptors, count = first.bytes.count();
  while (descriptors < 3) {
    const ReceivedDescriptors next = get(receive());
    ASSERT_TRUE(next.bytes.ok());
    descriptors += next.descriptors;
    count += next.bytes.count();
    EXPECT_TRUE(next.descriptors == 0 || next.descriptors == 2) << "never those of two sends";
  }
  EXPECT_EQ(count, 12U);
  EXPECT_TRUE(get(receive()).bytes.would_block());
}

TEST_F(Passing, MoreThanWereWantedAreAllClosed) {
  const auto before = FdGuard::open_descriptors();
  for (const std::size_t count : {1U, 2U, 5U, 253U}) {
    send(count);
    EXPECT_EQ(receive(count == 1 ? 0 : 1).error(), Errc::surplus_descriptors) << count;
    EXPECT_FALSE(places[0]);
    EXPECT_EQ(FdGuard::open_descriptors(), before);
  }
  const std::vector<int> many(254, ends.near.get());
  EXPECT_EQ(send_with_descriptors(ends.far.get(), bytes("x"), many).error(),
            std::errc::invalid_argument);
}

TEST_F(Passing, ControlDataThatIsCutOffClosesEveryDescriptor) {
  send(4);
  send(1, "next");
  const auto before = FdGuard::open_descriptors();
  rlimit limit{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &limit), 0);
  rlimit few = limit;
  const UniqueFd lowest(::dup(STDIN_FILENO));  // behind this one there is room for two of the four
  few.rlim_cur = static_cast<rlim_t>(lowest.get()) + 3;
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &few), 0);
  const Result<ReceivedDescriptors> result = receive();
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_EQ(result.error(), Errc::control_truncated);
  for (const UniqueFd& place : places) EXPECT_FALSE(place);
  EXPECT_EQ(FdGuard::open_descriptors().size(), before.size() + 1);
  const ReceivedDescriptors next = get(receive());
  EXPECT_TRUE(next.bytes.moved(4));
  EXPECT_EQ(next.descriptors, 1U);
}

TEST_F(Passing, TheEndIsToldAndSigpipeKeptAway) {
  ends.near.reset();
  EXPECT_EQ(send_with_descriptors(ends.far.get(), bytes("x"), {}).error(), std::errc::broken_pipe);
  ends = make_socket_pair();
  ends.far.reset();
  const ReceivedDescriptors got = get(receive());
  EXPECT_TRUE(got.bytes.end());
  ends.near.reset();
  EXPECT_EQ(receive().error(), std::errc::bad_file_descriptor);
}

// ---- With a loop ----

class UnixLoopTest : public LoopTest {};

// This front server passes its connections to the process that serves them.
class Giver : public AcceptHandler {
 public:
  explicit Giver(int channel) : channel_(channel) {}
  void on_accept(Listener&, Socket connection) override {
    const int number = connection.fd();
    EXPECT_TRUE(send_with_descriptors(channel_, bytes("c"), std::span(&number, 1)).moved(1));
  }

 private:
  int channel_;
};

TEST_P(UnixLoopTest, ConnectionsAreHandedOnThroughAChannel) {
  Loop loop(options());
  const TemporaryFolder folder;
  const FdPair channel = make_socket_pair();
  Giver giver(channel.far.get());
  const auto listener = get(Listener::listen(loop, folder.socket(), giver));
  std::vector<UniqueFd> served;
  const IoWatcher taker = get(loop.watch(channel.near.get(), Interest::read, [&](Ready) {
    std::array<std::byte, 16> buffer{};
    UniqueFd place;
    const auto got = get(receive_with_descriptors(channel.near.get(), buffer, {&place, 1}));
    if (got.descriptors == 1) served.push_back(std::move(place));
  }));
  std::vector<Socket> clients;
  for (int i = 0; i < 10; ++i) clients.push_back(get(Socket::connect(folder.socket())));
  ASSERT_TRUE(run_bounded(loop, [&] { return served.size() == 10; }));
  for (std::size_t i = 0; i < 10; ++i) {
    write_text(served[i].get(), std::to_string(i));
    EXPECT_EQ(read_text(clients[i].fd()), std::to_string(i));
  }
}

TEST_P(UnixLoopTest, ADeadServersFileIsReplacedAndOnlyOnesOwnRemoved) {
  Loop loop(options());
  const TemporaryFolder folder;
  Giver giver(-1);
  { const Socket dead = get(Socket::listen(folder.socket(), {})); }
  auto listener = get(Listener::listen(loop, folder.socket(), giver));
  EXPECT_EQ(Listener::listen(loop, folder.socket(), giver).error(), std::errc::address_in_use);
  std::filesystem::rename(folder.file("s"), folder.file("moved"));
  auto other = get(Listener::listen(loop, folder.socket(), giver));
  listener.reset();
  EXPECT_EQ(folder.files(), 2U) << "what has its name by now is not its own";
  other.reset();
  EXPECT_EQ(folder.files(), 1U);
}

INSTANTIATE_TEST_SUITE_P(Backends, UnixLoopTest, every_backend(), BackendName());

}  // namespace
}  // namespace reactor
