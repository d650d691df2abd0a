// SPDX-License-Identifier: MIT
// This file is a model of kqueue(2) for Linux, written from the manual page. It waits on real
// descriptors, so whole programs run on it. The kernels are known to differ from the model in these
// points:
//   - the number in fflags at the end of a socket with an error (see Knote::report);
//   - here EVFILT_WRITE gives no EV_EOF after the program's own shutdown(SHUT_WR);
//   - here EVFILT_READ of a file stays ready at the end of the file, with a data of 0.
// A kqueue drops a knote when the knote's descriptor is closed, and a child of fork(2) does not
// inherit a kqueue. To notice closes and forks, the model replaces close(2), dup2(2) and dup3(2),
// and uses pthread_atfork(3).
#include <dlfcn.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/event.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <map>
#include <mutex>
#include <optional>

#include "tests/support/kqueue/queue.h"

namespace reactor::kqueue_model {
namespace {

using Queues = std::map<int, std::unique_ptr<Queue>>;

// The state of the process. It is never destroyed, because the process closes descriptors until its
// very end.
struct Process {
  std::mutex mutex;
  Queues queues;  // by the kqueue's descriptor
};

Process& process() {
  static Process* const instance = new Process;
  return *instance;
}

std::atomic<bool> g_in_use{false};

template <class Function>
Function next_symbol(const char* name) {
  return reinterpret_cast<Function>(::dlsym(RTLD_NEXT, name));
}

// A child of fork(2) does not inherit a kqueue.
void in_child() {
  process().queues.clear();
  process().mutex.unlock();
}

void watch_forks() {
  static const int registered =
      ::pthread_atfork([] { process().mutex.lock(); }, [] { process().mutex.unlock(); }, &in_child);
  static_cast<void>(registered);
}

void forget_number(int fd) {
  if (!g_in_use.load(std::memory_order_acquire)) return;
  const int saved_errno = errno;
  const std::lock_guard lock(process().mutex);
  for (auto& [number, queue] : process().queues) queue->drop_number(fd);
  const auto found = process().queues.find(fd);
  if (found != process().queues.end()) {
    found->second->give_descriptor_up();
    process().queues.erase(found);
  }
  errno = saved_errno;
}

bool open_number(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

using Clock = std::chrono::steady_clock;
using Deadline = std::optional<Clock::time_point>;

// Some kernels refuse timeouts above about three years (100,000,000 s), so the model does, too.
constexpr time_t kLongestSeconds = 100'000'000;

bool valid(const timespec& timeout) {
  return timeout.tv_sec >= 0 && timeout.tv_sec <= kLongestSeconds && timeout.tv_nsec >= 0 &&
         timeout.tv_nsec < 1'000'000'000;
}

Deadline deadline_after(const timespec* timeout) {
  if (timeout == nullptr) return std::nullopt;
  return Clock::now() + std::chrono::seconds(timeout->tv_sec) +
         std::chrono::nanoseconds(timeout->tv_nsec);
}

// Waits until an event is pending. Returns the result of ppoll(2).
int sleep_until(int kq, const Deadline& deadline) {
  pollfd entry{kq, POLLIN, 0};
  if (!deadline) return ::ppoll(&entry, 1, nullptr, nullptr);
  const auto left = std::max(*deadline - Clock::now(), Clock::duration::zero());
  timespec limit{};
  limit.tv_sec = static_cast<time_t>(left / std::chrono::seconds(1));
  limit.tv_nsec = static_cast<long>((left % std::chrono::seconds(1)).count());
  return ::ppoll(&entry, 1, &limit, nullptr);
}

int failed(int error) {
  errno = error;
  return -1;
}

// Calls `action` with the queue, under the lock. Returns -1 with EBADF if `kq` is no kqueue.
template <class Action>
int with_queue(int kq, Action action) {
  const std::lock_guard lock(process().mutex);
  const auto found = process().queues.find(kq);
  if (found == process().queues.end()) return failed(EBADF);
  return action(*found->second);
}

// Makes all changes before any event is read. The error of a change becomes an entry of `events` if
// there is room, else it ends the call.
int apply_changes(Queue& queue, std::span<const struct kevent> changes,
                  std::span<struct kevent> events) {
  std::size_t used = 0;
  for (struct kevent change : changes) {  // a copy: both lists may be the same array
    const int error = queue.apply(change);
    if (error == 0 && (change.flags & EV_RECEIPT) == 0) continue;
    if (used == events.size()) {
      if (error != 0) return failed(error);
      continue;
    }
    change.flags = EV_ERROR;
    change.data = error;
    events[used++] = change;
  }
  return static_cast<int>(used);
}

int wait_for_events(int kq, std::span<struct kevent> events, const Deadline& deadline) {
  for (;;) {
    const int count =
        with_queue(kq, [&](Queue& queue) { return static_cast<int>(queue.fetch(events)); });
    if (count != 0) return count;
    const int ready = sleep_until(kq, deadline);
    if (ready < 0) return -1;
    if (ready == 0) return 0;
  }
}

}  // namespace

int real_close(int fd) noexcept {
  static const auto close_function = next_symbol<int (*)(int)>("close");
  return close_function(fd);
}

}  // namespace reactor::kqueue_model

using namespace reactor::kqueue_model;

extern "C" {

int kqueue(void) {
  watch_forks();
  std::unique_ptr<Queue> queue = Queue::make();
  if (queue == nullptr) return -1;
  const int number = queue->descriptor();
  const std::lock_guard lock(process().mutex);
  process().queues[number] = std::move(queue);
  g_in_use.store(true, std::memory_order_release);
  return number;
}

int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout) {
  if (timeout != nullptr && !valid(*timeout)) return failed(EINVAL);
  const Deadline deadline = deadline_after(timeout);
  const std::span events(eventlist, static_cast<std::size_t>(std::max(nevents, 0)));
  const std::span changes(changelist, static_cast<std::size_t>(std::max(nchanges, 0)));
  const int entries =
      with_queue(kq, [&](Queue& queue) { return apply_changes(queue, changes, events); });
  if (entries != 0 || events.empty()) return entries;
  return wait_for_events(kq, events, deadline);
}

int close(int fd) {
  forget_number(fd);
  return real_close(fd);
}

int dup2(int from, int to) noexcept {
  static const auto dup2_function = next_symbol<int (*)(int, int)>("dup2");
  if (from != to && open_number(from)) forget_number(to);
  return dup2_function(from, to);
}

int dup3(int from, int to, int flags) noexcept {
  static const auto dup3_function = next_symbol<int (*)(int, int, int)>("dup3");
  if (from != to && open_number(from)) forget_number(to);
  return dup3_function(from, to, flags);
}

}  // extern "C"
