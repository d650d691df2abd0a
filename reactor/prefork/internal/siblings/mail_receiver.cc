// SPDX-License-Identifier: MIT
// MailReceiver: take_from() empties one mailbox, and ends in one of these ways:
//
//   nothing waits                      the watcher calls again when something does
//   no descriptor, or no memory        pause(): all watchers rest for kRetryDelay
//   this worker is full                the connection goes back into the mailbox, and pause()
//   nobody can send to it any more     forget(): it is not watched any more
#include "reactor/prefork/internal/siblings/mail_receiver.h"

#include <string>
#include <utility>

#include "reactor/base/error.h"
#include "reactor/base/log.h"

namespace reactor::prefork {
namespace {

void set(IoWatcher& watcher, Interest interest) {
  if (watcher) static_cast<void>(watcher.set(interest));
}

}  // namespace

MailReceiver::MailReceiver(Loop& loop, Scoreboard& scoreboard, Mailboxes& mailboxes,
                           unsigned own_slot)
    : loop_(loop),
      scoreboard_(scoreboard),
      mailboxes_(mailboxes),
      own_(own_slot),
      retry_(loop.timer([this] { go_on(); })) {
  retry_.unref();
}

void MailReceiver::start(Service& service) {
  service_ = &service;
  service.set_on_room([this] { have_room(); });
  for (const UniqueFd& mailbox : mailboxes_.earlier()) {
    earlier_.push_back(watch({mailbox.get(), std::nullopt}).value());
  }
}

Result<> MailReceiver::open(unsigned slot) {
  if (slot >= of_slots_.size()) of_slots_.resize(slot + 1);
  Result<IoWatcher> watched = watch({mailboxes_.out_of(slot), slot});
  if (!watched) return watched.error();
  of_slots_[slot] = std::move(*watched);
  return {};
}

void MailReceiver::close(unsigned slot) noexcept {
  if (slot < of_slots_.size()) of_slots_[slot] = {};
}

Result<IoWatcher> MailReceiver::watch(Source source) {
  const Interest interest = retry_.active() ? Interest::none : Interest::read;
  Result<IoWatcher> watched = loop_.watch(
      source.mailbox, interest, [this, source](Ready) { take_from(source, Limit::kept); });
  if (watched) watched->unref();
  return watched;
}

int MailReceiver::take_all(unsigned slot) {
  return take_from({mailboxes_.out_of(slot), slot}, Limit::ignored);
}

int MailReceiver::take_from(Source source, Limit limit) {
  int taken = 0;
  int put_back_again = 0;
  while (taken + put_back_again < kPerTurn) {
    Result<MailedConnection> mailed = mailboxes_.receive(source.mailbox);
    if (mailed && mailed->ended) {
      forget(source);
      return taken;
    }
    if (mailed && !mailed->connection) return taken;
    if (!mailed && mailed.error() == std::errc::too_many_files_open) {
      complain(
          Complaint::no_descriptor,
          "connections from other workers wait: no descriptor is free; raise the limit (ulimit -n) "
          "or lower --max-connections");
      pause();
      return taken;
    }
    if (!mailed && is_transient(mailed.error())) {
      pause();
      return taken;
    }
    if (mailed && limit == Limit::kept && put_back(source, *mailed)) {
      pause();
      // Goes on, because this worker may take a connection behind this one. Stops when it has seen
      // each connection once.
      if (source.slot && ++put_back_again >= scoreboard_.coming(*source.slot).load()) return taken;
      continue;
    }
    ++taken;
    if (source.slot) scoreboard_.coming(*source.slot).fetch_sub(1);
    if (mailed) {
      take(std::move(*mailed));
    } else {
      complain(Complaint::no_connection,
               "a message in a mailbox is not a connection from this program: " +
                   mailed.error().message());
    }
  }
  return taken;
}

// If this worker is full, puts a new connection back into the mailbox and returns true. Returns
// false if this worker has to take the connection.
bool MailReceiver::put_back(Source source, const MailedConnection& mailed) {
  const bool is_new = mailed.state.empty();
  if (!is_new || service_->connections() < service_->most_connections()) return false;
  const Result<bool> sent =
      mailboxes_.send(source.slot.value_or(own_), mailed.connection.get(), {});
  if (!sent || !*sent) return false;
  if (!source.slot) scoreboard_.coming(own_).fetch_add(1);
  return true;
}

// Stops watching a mailbox to which nobody can send. Either the earlier program is gone, or a
// worker that a client took over has shut the mailbox down.
void MailReceiver::forget(Source source) {
  if (source.slot) return close(*source.slot);
  std::erase_if(earlier_, [&](const IoWatcher& each) { return each.fd() == source.mailbox; });
}

void MailReceiver::take(MailedConnection mailed) {
  const Result<> taken =
      service_->adopt_connection(Socket(std::move(mailed.connection)), mailed.state);
  if (!taken)
    complain(Complaint::not_taken, "can't take a connection over: " + taken.error().message());
}

// Without a pause, mailboxes whose connections can't be taken would wake the loop in each turn.
void MailReceiver::pause() {
  if (retry_.active()) return;
  for (auto* watchers : {&of_slots_, &earlier_}) {
    for (IoWatcher& watcher : *watchers) set(watcher, Interest::none);
  }
  retry_.start(kRetryDelay);
}

// Called when the service has room again. Takes the connections in mailboxes at once, before the
// service accepts those in the kernel's queues.
void MailReceiver::have_room() {
  if (!retry_.active()) return;
  retry_.stop();
  go_on();
  for (unsigned slot = 0; slot < of_slots_.size(); ++slot) {
    if (of_slots_[slot]) take_from({mailboxes_.out_of(slot), slot}, Limit::kept);
  }
}

void MailReceiver::go_on() {
  for (auto* watchers : {&of_slots_, &earlier_}) {
    for (IoWatcher& watcher : *watchers) set(watcher, Interest::read);
  }
}

void MailReceiver::complain(Complaint kind, const std::string& what) {
  TimePoint& next = next_lines_[static_cast<std::size_t>(kind)];
  if (loop_.now() < next) return;
  next = loop_.now() + kBetweenLines;
  REACTOR_LOG(warn, what);
}

}  // namespace reactor::prefork
