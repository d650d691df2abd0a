// SPDX-License-Identifier: MIT
// A connection takes these steps through the gate:
//
//   admit() --> Visitor --read(), until the header is complete--> pass() --> the server
//      |           |
//      '-----------+--not allowed, malformed, too late or gone--> turn_away(): counted and logged
//
// A header is peeked at (MSG_PEEK) before it is read, so the bytes behind it stay in the socket for
// the Stream. But if the header is not complete yet, all its bytes are read, because the poller
// would otherwise report them again and again.
#include "reactor/net/internal/proxy_gate.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "reactor/base/log.h"
#include "reactor/net/internal/proxy_header.h"

namespace reactor {
namespace {

constexpr std::size_t kGlance = 512;                            // longer than all usual headers
constexpr Duration kReportInterval = std::chrono::seconds(10);  // between log lines of one reason

std::string name_of(ProxyProtocol version) {
  return version == ProxyProtocol::v1 ? "version 1" : "version 2";
}

// Describes a bad header for the log. The text may have any bytes, because the log escapes them.
std::string what_is_wrong(const ProxyHeaderParser& parser, ProxyProtocol wanted,
                          std::span<const std::byte> seen) {
  constexpr std::size_t kShown = 16;
  if (parser.signed_well()) return "the header is malformed";
  const ProxyProtocol other = ProxyHeaderParser::version_of(seen);
  if (other != ProxyProtocol::off) {
    return "the header is of " + name_of(other) + ", configured is " + name_of(wanted);
  }
  const std::string_view text(reinterpret_cast<const char*>(seen.data()), seen.size());
  return "there is none, it begins with '" + std::string(text.substr(0, kShown)) + "'";
}

}  // namespace

class ProxyGate::Visitor final : public PollTarget {
 public:
  Visitor(ProxyGate& gate, Socket connection, const Address& from, SourceLocation origin)
      : PollTarget(connection.fd()),
        socket(std::move(connection)),
        parser(gate.options_.protocol),
        peer(from),
        where(origin),
        gate_(gate) {}

  void on_ready(Ready) override { gate_.read(*this); }
  void on_expire() override { gate_.drop(*this, Why::timed_out); }
  [[nodiscard]] HandleInfo describe() const noexcept override {
    return {"proxy header", PollTarget::fd(), {}, where};
  }

  Socket socket;
  ProxyHeaderParser parser;
  Address peer;
  SourceLocation where;
  std::list<std::unique_ptr<Visitor>>::iterator place;

 private:
  ProxyGate& gate_;
};

ProxyGate::ProxyGate(Loop& loop, const ProxyOptions& options, Passed passed, Dropped dropped)
    : loop_(loop), options_(options), passed_(std::move(passed)), dropped_(std::move(dropped)) {}

ProxyGate::~ProxyGate() {
  for (const auto& visitor : visitors_) {
    if (!visitor->attached() && !visitor->armed()) continue;  // the loop may be gone already
    loop_.detach(*visitor, Detach::closing);
    loop_.disarm(*visitor);
  }
}

bool ProxyGate::allowed(const Address& from) const noexcept {
  return from.is_unix() ||
         std::any_of(options_.allow_from.begin(), options_.allow_from.end(),
                     [&](const Network& network) { return network.contains(from); });
}

void ProxyGate::admit(Socket connection, SourceLocation where) {
  const Result<Address> peer = connection.peer();
  if (!peer || !allowed(*peer)) {
    connection = {};
    turn_away(peer ? Why::not_allowed : Why::gone, peer ? *peer : Address());
    return;
  }
  try {
    visitors_.push_front(std::make_unique<Visitor>(*this, std::move(connection), *peer, where));
  } catch (...) {
    dropped_();
    throw;
  }
  Visitor& visitor = *visitors_.front();
  visitor.place = visitors_.begin();
  loop_.arm(visitor, saturating_add(loop_.now(), options_.time_limit));
  read(visitor);  // often the header is here already
}

void ProxyGate::read(Visitor& visitor) {
  std::array<std::byte, kGlance> memory;  // not the scratch: a callback may be using it
  const std::span<std::byte> room = memory;
  const IoResult seen = Socket::peek(visitor.fd(), room);
  if (seen.would_block()) {
    if (!visitor.attached() && !loop_.attach(visitor, Interest::read)) drop(visitor, Why::gone);
    return;
  }
  if (!seen.ok()) {
    drop(visitor, Why::gone);
    return;
  }
  const bool from_start = !visitor.parser.begun();
  const ProxyHeaderParser::Step step = visitor.parser.next(room.first(seen.count()));
  if (step.state == ProxyHeaderParser::State::bad) {
    drop(visitor, Why::malformed, room.first(from_start ? seen.count() : 0));
    return;
  }
  const bool taken = Socket::receive(visitor.fd(), room.first(step.consumed)).moved(step.consumed);
  if (taken && step.state == ProxyHeaderParser::State::done) {
    pass(visitor);
  } else if (!taken || (!visitor.attached() && !loop_.attach(visitor, Interest::read))) {
    drop(visitor, Why::gone);
  }
}

std::unique_ptr<ProxyGate::Visitor> ProxyGate::take_out(Visitor& visitor) noexcept {
  loop_.disarm(visitor);
  std::unique_ptr<Visitor> owned = std::move(*visitor.place);
  visitors_.erase(visitor.place);
  return owned;
}

void ProxyGate::pass(Visitor& visitor) {
  const std::unique_ptr<Visitor> owned = take_out(visitor);
  if (owned->attached()) loop_.detach(*owned, Detach::staying);
  ++stats_.passed;
  const auto& addresses = owned->parser.addresses();
  passed_(std::move(owned->socket), owned->where, addresses ? &*addresses : nullptr);
}

// Closes a visitor's connection. `seen` has the first bytes of the connection, or is empty if they
// are no longer at hand.
void ProxyGate::drop(Visitor& visitor, Why why, std::span<const std::byte> seen) {
  const std::unique_ptr<Visitor> owned = take_out(visitor);
  loop_.detach(*owned, Detach::closing);
  owned->socket = {};
  turn_away(why, owned->peer, {&owned->parser, seen});
}

void ProxyGate::turn_away(Why why, const Address& from, const Evidence& evidence) noexcept {
  const std::array<std::uint64_t*, kReasons> counters = {&stats_.not_allowed, &stats_.malformed,
                                                         &stats_.timed_out, &stats_.gone};
  ++*counters[static_cast<std::size_t>(why)];
  report(why, from, evidence);
  dropped_();
}

// Logs at a bounded rate, so that a client that keeps connecting can't fill the log.
void ProxyGate::report(Why why, const Address& from, const Evidence& evidence) noexcept {
  Report& report = reports_[static_cast<std::size_t>(why)];
  if (loop_.now() < report.next) {
    ++report.since;
    return;
  }
  const std::uint64_t since = report.since;
  report = {.next = saturating_add(loop_.now(), kReportInterval), .since = 0};
  // Port scanners and plain health checks cause this all day.
  if (why == Why::gone) {
    REACTOR_LOG(debug, describe(why, from, evidence, since));
  } else {
    REACTOR_LOG(warn, describe(why, from, evidence, since));
  }
}

std::string ProxyGate::describe(Why why, const Address& from, const Evidence& evidence,
                                std::uint64_t since) const {
  static constexpr std::array<const char*, kReasons> kTexts = {
      "that address may not send a PROXY header",
      "it does not begin with the PROXY header that is asked for",
      "no whole PROXY header in time",
      "it ended before its PROXY header",
  };
  std::string line = "dropped a connection from " + from.to_string() + ": " +
                     kTexts[static_cast<std::size_t>(why)];
  if (!evidence.seen.empty()) {
    line += ": " + what_is_wrong(*evidence.parser, options_.protocol, evidence.seen);
  }
  if (since > 0) line += "; so were " + std::to_string(since) + " more before it";
  return line;
}

}  // namespace reactor
