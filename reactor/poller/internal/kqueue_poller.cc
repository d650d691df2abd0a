// SPDX-License-Identifier: MIT
// This is the backend for kqueue(2): macOS, the BSDs, and libkqueue elsewhere. It hides four
// differences from epoll:
//   - Reading and writing are two registrations ("knotes") with separate events. The backend merges
//     the events of one descriptor within a batch.
//   - EV_ADD silently replaces an existing knote. To ask whether a knote exists, the backend uses
//     EV_ENABLE, which fails with ENOENT if it does not. Most kernels store udata anew with every
//     change, so each change carries the token.
//   - Closing a number drops its knotes at once, even if copies of the open file remain.
//   - A forked child does not inherit the queue. In the child, the queue's number may belong to
//     another file.
// libkqueue differs from the kernels in more ways: see is_emulated() and docs/architecture.md.
//
// Each kevent() call here makes one change or fetches events, never both. So the error of a change
// arrives in errno, and an error of one descriptor can't hide that of another.
#if __has_include(<sys/event.h>)

#include "reactor/poller/internal/kqueue_calls.h"

// The BSDs require this order of includes.
#include <sys/types.h>

#include <sys/event.h>
#include <sys/stat.h>
#include <sys/time.h>

#include <fcntl.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "reactor/base/error.h"
#include "reactor/base/internal/fork_count.h"
#include "reactor/base/unique_fd.h"
#include "reactor/poller/internal/file_identity.h"

namespace reactor {
namespace {

using Kevent = KqueueCalls::Kevent;

static_assert(sizeof(Kevent::udata) >= sizeof(std::uint64_t), "udata has to hold a Token");

int call_kevent(int kq, const Kevent* changes, int change_count, Kevent* events, int event_count,
                const timespec* timeout) {
  return ::kevent(kq, changes, change_count, events, event_count, timeout);
}

constexpr KqueueCalls kSystemCalls = {[] { return ::kqueue(); }, &call_kevent};

constexpr std::array kFilters = {Interest::read, Interest::write};

short filter_of(Interest one) { return one == Interest::read ? EVFILT_READ : EVFILT_WRITE; }

Interest operator-(Interest all, Interest less) {
  return static_cast<Interest>(static_cast<unsigned>(all) & ~static_cast<unsigned>(less));
}

// Returns whether the error says that the kernel does not have the knote any more.
bool is_gone(std::error_code error) {
  return error == std::errc::no_such_file_or_directory || error == std::errc::bad_file_descriptor;
}

Token token_of(const Kevent& event) {
  return Token::unpack(reinterpret_cast<std::uintptr_t>(event.udata));
}

timespec to_timespec(Duration timeout) {
  constexpr Duration kLongest = std::chrono::hours(24);  // some kernels refuse years (EINVAL)
  const Duration limited = std::clamp(timeout, Duration::zero(), kLongest);
  timespec result{};
  result.tv_sec = static_cast<time_t>(limited / std::chrono::seconds(1));
  result.tv_nsec = static_cast<long>((limited % std::chrono::seconds(1)).count());
  return result;
}

// Returns whether libkqueue, a library on top of epoll(7), made the queue. The descriptor of
// libkqueue's queue is the writing end of a pipe; a kernel's queue never is. libkqueue differs from
// a kernel as follows:
//   - It keeps a knote when its descriptor is closed, and mistakes the next file of that number for
//     the old one. Deleting such a knote frees memory that its epoll set may still point to.
//   - It returns at most 512 events, and forgets the events of its batch that did not fit into the
//     caller's buffer.
//   - If it can't watch a descriptor, it returns EFAULT whatever the reason.
bool is_emulated(int queue) { return (::fcntl(queue, F_GETFL) & O_ACCMODE) == O_WRONLY; }

Result<UniqueFd> make_queue(const KqueueCalls& calls) {
  UniqueFd queue(calls.kqueue());
  if (!queue || ::fcntl(queue.get(), F_SETFD, FD_CLOEXEC) != 0) return last_system_error();
  return queue;
}

// Watched is a registration that was added for a descriptor number and not removed. The kernel may
// have dropped it since.
struct Watched {
  Token token;
  Interest interest = Interest::none;  // as the caller asked
  Interest filters = Interest::none;   // the filters that the kernel has for it
  std::uint32_t position = 0;          // index of its event in the batch; check it: may be stale
  FileIdentity identity;

  // Returns whether a read filter stands in for the write filter that the kernel refused: see
  // add_filter().
  [[nodiscard]] bool stands_in() const noexcept { return (filters & interest) != interest; }
};

Interest readiness(const Kevent& event, const Watched& watched) {
  const bool failed =
      (event.flags & EV_ERROR) != 0 || ((event.flags & EV_EOF) != 0 && event.fflags != 0);
  if (failed || watched.stands_in()) return watched.interest;
  // The end of one direction says nothing about the other: a peer that stopped writing may still
  // read.
  const Interest own = event.filter == EVFILT_READ ? Interest::read : Interest::write;
  return own & watched.interest;
}

class KqueuePoller final : public Poller {
 public:
  KqueuePoller(const KqueueCalls& calls, UniqueFd queue)
      : calls_(calls),
        queue_(std::move(queue)),
        emulated_(is_emulated(queue_.get())),
        generation_(process_generation()),
        batch_(kFirstBatch) {}

  ~KqueuePoller() override {
    // In a forked child the queue's number may belong to another file, because a child does not
    // inherit a kernel's queue, and libkqueue closes its queue in the child.
    if (generation_ != process_generation()) static_cast<void>(queue_.release());
  }

  // Does not grant Trigger::edge. If it did, the loop would never read its wake-up pipe (Wakeup).
  // The pipe would fill up, and then no further write could wake the loop.
  std::error_code add(int fd, Interest interest, Token token, Trigger) override {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return last_system_error();
    // kqueue accepts files and directories, but epoll refuses them. Refuse them here too, so that
    // all backends agree.
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) return system_error(EPERM);
    const auto index = static_cast<std::size_t>(fd);
    if (index >= watched_.size()) watched_.resize(index + 1);
    Watched& watched = watched_[index];
    const FileIdentity identity(status);
    if (held(fd, watched, identity)) return std::make_error_code(std::errc::file_exists);
    if (spoilt_) {
      if (const std::error_code error = renew()) return error;
    }
    watched = {token, interest, Interest::none, 0, identity};
    const std::error_code error = add_filters(fd, watched, interest);
    if (error) watched = {};
    return error;
  }

  std::error_code modify(int fd, Interest before, Interest after, Token token) override {
    Watched* const watched = find(static_cast<std::uintptr_t>(fd));
    if (watched == nullptr) return system_error(ENOENT);
    // With a new token, all knotes have to be set anew.
    if (token != watched->token) {
      const std::error_code error = remove(fd, before);
      return error ? error : add(fd, after, token, Trigger::level);
    }
    std::error_code error = touch(fd, *watched, after);
    // fstat(2) is needed in two cases: if the caller asks whether the file is still the same, and
    // if the queue is libkqueue's, because libkqueue keeps the knotes of closed files.
    const bool asks = before == after || emulated_;
    if (asks && !watched->identity.is_still(fd)) error = system_error(ENOENT);
    if (is_gone(error)) static_cast<void>(drop(fd, *watched));
    if (error) return error;
    error = add_filters(fd, *watched, after - watched->filters);
    if (error) return error;
    watched->interest = after;
    if (watched->stands_in()) return {};
    return remove_filters(fd, *watched, watched->filters - after);
  }

  std::error_code remove(int fd, Interest) override {
    Watched* const watched = find(static_cast<std::uintptr_t>(fd));
    if (watched == nullptr) return system_error(ENOENT);
    return drop(fd, *watched);
  }

  Result<std::size_t> wait(std::span<PollEvent> events, Duration timeout) override {
    const std::size_t room =
        grow_batch(batch_, static_cast<std::size_t>(saturated_count(events.size())));
    if (spoilt_) {
      const std::error_code error = renew();
      // If there was no descriptor for a new queue, use the old one.
      if (error && !spoilt_) return error;
    }
    std::size_t used = 0;
    for (bool more = true; more; timeout = Duration::zero()) {
      const std::size_t limit = round_limit();
      const Result<std::span<const Kevent>> batch = fetch(std::min(limit, room - used), timeout);
      if (!batch) return batch.error();
      const std::size_t before = std::exchange(used, collect(*batch, events, used));
      more = batch->size() == limit && used > before && used < room;
    }
    return used;
  }

  [[nodiscard]] int backend_fd() const noexcept override { return emulated_ ? -1 : queue_.get(); }
  [[nodiscard]] bool knows_files() const noexcept override { return !emulated_; }

  std::error_code add_process(pid_t pid, Token token) override {
    // libkqueue loses the exit if other code waits for the child.
    if (emulated_) return Errc::not_supported;
    const std::error_code error = change(static_cast<std::uintptr_t>(pid), EVFILT_PROC,
                                         EV_ADD | EV_ONESHOT, token, NOTE_EXIT);
    // A kernel without this filter returns EINVAL.
    return error == std::errc::invalid_argument ? make_error_code(Errc::not_supported) : error;
  }

  void remove_process(pid_t pid) noexcept override {
    static_cast<void>(change(static_cast<std::uintptr_t>(pid), EVFILT_PROC, EV_DELETE, Token{}));
  }

 private:
  // Returns how many events one kevent() call may fetch. Only libkqueue needs a limit. If a call
  // returns that many events, wait() makes another call. libkqueue divides its ready list into
  // pieces of this length, and forgets the events of a piece that do not fit into the caller's
  // buffer. The length varies, so that libkqueue does not forget the same descriptors each time.
  std::size_t round_limit() noexcept {
    constexpr std::size_t kMost = 512, kLengths = 64;
    return emulated_ ? kMost - round_++ % kLengths : SIZE_MAX;
  }

  // Fetches up to `room` events into batch_. Returns none if a signal interrupted the wait.
  Result<std::span<const Kevent>> fetch(std::size_t room, Duration timeout) {
    const timespec limit = to_timespec(timeout);
    const int count = calls_.kevent(queue_.get(), nullptr, 0, batch_.data(), static_cast<int>(room),
                                    timeout == kForever ? nullptr : &limit);
    if (count < 0 && errno != EINTR) return last_system_error();
    return std::span<const Kevent>(batch_).first(static_cast<std::size_t>(std::max(count, 0)));
  }

  std::error_code change(std::uintptr_t ident, int filter, int flags, Token token,
                         unsigned fflags = 0) noexcept {
    Kevent one{};
    one.ident = ident;
    one.filter = static_cast<decltype(one.filter)>(filter);
    one.flags = static_cast<decltype(one.flags)>(flags);
    one.fflags = fflags;
    one.udata = reinterpret_cast<decltype(one.udata)>(static_cast<std::uintptr_t>(token.pack()));
    const timespec at_once{};
    if (calls_.kevent(queue_.get(), &one, 1, nullptr, 0, &at_once) >= 0) return {};
    return last_system_error();
  }

  std::error_code change(int fd, Interest filter, int flags, Token token) noexcept {
    return change(static_cast<std::uintptr_t>(fd), filter_of(filter), flags, token);
  }

  [[nodiscard]] Watched* find(std::uintptr_t ident) {
    if (ident >= watched_.size() || !any(watched_[ident].filters)) return nullptr;
    return &watched_[ident];
  }

  // Returns whether the kernel still has the registration of `fd` and `fd` is still the same file.
  // Drops the registration if it returns false.
  bool held(int fd, Watched& watched, FileIdentity identity) {
    if (!any(watched.filters)) return false;
    if (watched.identity == identity && !is_gone(touch(fd, watched, watched.filters))) return true;
    static_cast<void>(drop(fd, watched));
    return false;
  }

  // Ends a registration. Returns the first error.
  std::error_code drop(int fd, Watched& watched) noexcept {
    std::error_code error;
    if (emulated_ && !watched.identity.is_still(fd)) {
      spoilt_ = true;
      error = system_error(ENOENT);
    } else {
      error = remove_filters(fd, watched, watched.filters);
    }
    watched = {};
    return error;
  }

  // Moves all registrations into a new queue, because the old queue still has knotes of closed
  // descriptors. If there is no descriptor for a new queue, the old queue stays and spoilt_ remains
  // true. Returns the first error.
  std::error_code renew() {
    Result<UniqueFd> fresh = make_queue(calls_);
    if (!fresh) return fresh.error();
    queue_ = std::move(*fresh);
    spoilt_ = false;
    std::error_code first_error;
    for (std::size_t index = 0; index < watched_.size(); ++index) {
      Watched& watched = watched_[index];
      const Interest filters = std::exchange(watched.filters, Interest::none);
      if (!any(filters)) continue;
      const int fd = static_cast<int>(index);
      std::error_code error;
      const bool open = watched.identity.is_still(fd);
      if (open) error = add_filters(fd, watched, filters);
      if (!open || error) watched = {};
      if (error && !first_error) first_error = error;
    }
    return first_error;
  }

  // Checks that the kernel still has the registration, by enabling filters once more. If `after`
  // adds a filter, these are all enabled filters; otherwise only the enabled ones that `after` has.
  std::error_code touch(int fd, const Watched& watched, Interest after) {
    const bool grows = any(after - watched.filters);
    for (const Interest filter : kFilters) {
      const bool stays = any(filter & after) || grows;
      if (!any(filter & watched.filters) || !stays) continue;
      if (const auto error = change(fd, filter, EV_ENABLE, watched.token)) return error;
    }
    return {};
  }

  // Adds all of `filters` or none.
  std::error_code add_filters(int fd, Watched& watched, Interest filters) {
    const Interest before = watched.filters;
    for (const Interest filter : kFilters) {
      if (!any(filter & filters)) continue;
      if (const std::error_code error = add_filter(fd, watched, filter)) {
        static_cast<void>(remove_filters(fd, watched, watched.filters - before));
        return error;
      }
    }
    return {};
  }

  std::error_code add_filter(int fd, Watched& watched, Interest filter) {
    std::error_code error = change(fd, filter, EV_ADD, watched.token);
    if (error == std::errc::broken_pipe && filter == Interest::write) {
      // The kernel refuses to watch the writing end of a pipe without a reader; other backends
      // report an error event for it at once. A read filter on the same descriptor reports the end
      // of the file, so it stands in.
      filter = Interest::read;
      error = change(fd, filter, EV_ADD, watched.token);
    }
    if (!error) watched.filters = watched.filters | filter;
    // libkqueue returns EFAULT for several reasons. The callers have ruled out all of them except a
    // file that can't be polled.
    if (emulated_ && error == std::errc::bad_address) return system_error(EPERM);
    return error;
  }

  // Tries to remove all of `filters`. Returns the first error.
  std::error_code remove_filters(int fd, Watched& watched, Interest filters) noexcept {
    std::error_code first_error;
    for (const Interest filter : kFilters) {
      if (!any(filter & filters)) continue;
      const std::error_code error = change(fd, filter, EV_DELETE, watched.token);
      if (error && !first_error) first_error = error;
      if (error && emulated_) {  // it freed the knote, but left it in its epoll set
        spoilt_ = true;
        break;
      }
    }
    watched.filters = watched.filters - filters;
    return first_error;
  }

  // Converts a batch of kernel events, and writes the results to `events` after its first `used`
  // elements. Merges the events of one registration, so there are never more results than kernel
  // events. Returns the new count.
  std::size_t collect(std::span<const Kevent> batch, std::span<PollEvent> events,
                      std::size_t used) {
    for (const Kevent& event : batch) {
      const Token token = token_of(event);
      if (event.filter == EVFILT_PROC) {  // its ident is a pid, not a descriptor
        events[used++] = {token, Ready(Interest::read)};
        continue;
      }
      Watched* const watched = find(event.ident);
      if (watched == nullptr || watched->token != token) {  // stale: the loop recognises its token
        events[used++] = {token, Ready(Interest::read_write)};
        continue;
      }
      const Interest ready = readiness(event, *watched);
      const std::size_t position = watched->position;
      if (position < used && events[position].token == token) {
        events[position].ready = Ready(events[position].ready.bits() | ready);
        continue;
      }
      watched->position = static_cast<std::uint32_t>(used);
      events[used++] = {token, Ready(ready)};
    }
    return used;
  }

  KqueueCalls calls_;
  UniqueFd queue_;
  bool emulated_;        // the queue is libkqueue's
  bool spoilt_ = false;  // the queue has knotes that must be neither used nor deleted: see renew()
  std::size_t round_ = 0;
  std::uint32_t generation_;
  std::vector<Watched> watched_;  // indexed by descriptor
  std::vector<Kevent> batch_;
};

}  // namespace

Result<std::unique_ptr<Poller>> make_kqueue_poller(const KqueueCalls& calls) {
  Result<UniqueFd> queue = make_queue(calls);
  if (!queue) return queue.error();
  return std::unique_ptr<Poller>(std::make_unique<KqueuePoller>(calls, std::move(*queue)));
}

Result<std::unique_ptr<Poller>> make_kqueue_poller() { return make_kqueue_poller(kSystemCalls); }

}  // namespace reactor

#endif
