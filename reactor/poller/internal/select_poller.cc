// SPDX-License-Identifier: MIT
// This is the portable fallback, select(2). The bit sets are allocated here and grow with the
// largest descriptor, so FD_SETSIZE is no limit. FD_SET is never used, because it would write past
// a fixed set. The kernel takes sets of any length (select(2) NOTES; macOS needs
// _DARWIN_UNLIMITED_SELECT for it).
#ifndef _DARWIN_UNLIMITED_SELECT
#define _DARWIN_UNLIMITED_SELECT 1
#endif

#include <sys/select.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <vector>

#include "reactor/base/error.h"
#include "reactor/poller/internal/file_identity.h"
#include "reactor/poller/internal/poller.h"

namespace reactor {
namespace {

// FdBits is a set of descriptors in the kernel's layout: an array of fd_mask words.
class FdBits {
 public:
  using Word =
      unsigned long;  // like fd_mask on Linux; the ints of other systems have the same layout
  static constexpr std::size_t kWordBits = 8 * sizeof(Word);

  void grow(std::size_t bits) {
    // The sets are never smaller than fd_set, because the kernel may round the length up to that.
    const std::size_t least = sizeof(fd_set) / sizeof(Word);
    words_.resize(std::max({words_.size(), least, bits / kWordBits + 1}));
  }
  void put(std::size_t bit, bool value) {
    const Word mask = Word{1} << (bit % kWordBits);
    Word& word = words_[bit / kWordBits];
    word = value ? (word | mask) : (word & ~mask);
  }
  [[nodiscard]] Word word(std::size_t index) const { return words_[index]; }
  [[nodiscard]] std::size_t words() const { return words_.size(); }
  [[nodiscard]] fd_set* data() { return reinterpret_cast<fd_set*>(words_.data()); }
  void copy_from(const FdBits& other) { words_ = other.words_; }

 private:
  std::vector<Word> words_;
};

class SelectPoller final : public Poller {
 public:
  std::error_code add(int fd, Interest interest, Token token, Trigger) override {
    struct stat status {};
    if (::fstat(fd, &status) != 0) return last_system_error();
    // select reports files and directories as always ready, but epoll refuses them. Refuse them
    // here too, so that all backends agree.
    if (S_ISREG(status.st_mode) || S_ISDIR(status.st_mode)) return system_error(EPERM);
    const auto index = static_cast<std::size_t>(fd);
    const FileIdentity identity(status);
    if (index < entries_.size() && any(entries_[index].interest) &&
        entries_[index].identity == identity) {
      return std::make_error_code(std::errc::file_exists);
    }
    if (index >= entries_.size()) entries_.resize(index + 1);
    for (FdBits* const bits : {&read_, &write_, &ready_read_, &ready_write_}) bits->grow(index + 1);
    entries_[index] = {token, Interest::none, identity};
    set_interest(index, interest);
    return {};
  }

  std::error_code modify(int fd, Interest before, Interest after, Token token) override {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= entries_.size() || !any(entries_[index].interest)) return system_error(ENOENT);
    if (before == after && !entries_[index].identity.is_still(fd)) return system_error(ENOENT);
    entries_[index].token = token;
    set_interest(index, after);
    return {};
  }

  std::error_code remove(int fd, Interest) override {
    const auto index = static_cast<std::size_t>(fd);
    if (index >= entries_.size() || !any(entries_[index].interest)) return system_error(ENOENT);
    set_interest(index, Interest::none);
    while (limit_ > 0 && !any(entries_[limit_ - 1].interest)) --limit_;
    return {};
  }

  [[nodiscard]] bool knows_files() const noexcept override { return false; }

  Result<std::size_t> wait(std::span<PollEvent> events, Duration timeout) override {
    ready_read_.copy_from(read_);
    ready_write_.copy_from(write_);
    int count = select_ready(timeout);
    if (count < 0 && errno == EBADF) {
      if (drop_closed() == 0) return system_error(EBADF);
      return std::size_t{0};  // the next turn sees the other descriptors
    }
    if (count < 0) {
      if (errno == EINTR) return std::size_t{0};
      return last_system_error();
    }
    return count == 0 ? std::size_t{0} : collect(events);
  }

 private:
  struct Entry {
    Token token;
    Interest interest = Interest::none;
    FileIdentity identity;  // the file at add(): select(2) itself can't tell
  };

  void set_interest(std::size_t index, Interest interest) {
    entries_[index].interest = interest;
    read_.put(index, any(interest & Interest::read));
    write_.put(index, any(interest & Interest::write));
    if (any(interest)) limit_ = std::max(limit_, index + 1);
  }

  int select_ready(Duration timeout) {
    fd_set* read = limit_ > 0 ? ready_read_.data() : nullptr;
    fd_set* write = limit_ > 0 ? ready_write_.data() : nullptr;
    if (timeout == kForever)
      return ::select(static_cast<int>(limit_), read, write, nullptr, nullptr);
    constexpr Duration kLongest = std::chrono::hours(24);  // some kernels refuse huge values
    // The timeout is rounded up to microseconds, so that a timer never wakes the loop early.
    const Duration limited =
        std::min(timeout, kLongest) + std::chrono::microseconds(1) - Duration(1);
    timeval limit{};
    limit.tv_sec = static_cast<decltype(limit.tv_sec)>(limited / std::chrono::seconds(1));
    limit.tv_usec = static_cast<decltype(limit.tv_usec)>((limited % std::chrono::seconds(1)) /
                                                         std::chrono::microseconds(1));
    return ::select(static_cast<int>(limit_), read, write, nullptr, &limit);
  }

  // Collects events, beginning at the word at which the last full batch ended, so that low
  // descriptor numbers can't starve high ones.
  std::size_t collect(std::span<PollEvent> events) {
    const std::size_t words = (limit_ + FdBits::kWordBits - 1) / FdBits::kWordBits;
    std::size_t used = 0;
    if (next_word_ >= words) next_word_ = 0;
    std::size_t word = next_word_;
    for (std::size_t seen = 0; seen < words; ++seen) {
      const auto set = ready_read_.word(word) | ready_write_.word(word);
      if (static_cast<std::size_t>(std::popcount(set)) > events.size() - used) {
        next_word_ = word;
        // Even a span with room for less than one word's events must make progress.
        return used > 0 ? used : collect_word(word, events);
      }
      used += collect_word(word, events.subspan(used));
      word = word + 1 == words ? 0 : word + 1;
    }
    return used;
  }

  std::size_t collect_word(std::size_t word, std::span<PollEvent> events) {
    std::size_t used = 0;
    auto set = ready_read_.word(word) | ready_write_.word(word);
    while (set != 0 && used < events.size()) {
      const auto bit = static_cast<std::size_t>(std::countr_zero(set));
      const auto mask = FdBits::Word{1} << bit;
      set &= ~mask;
      Interest ready = Interest::none;
      if ((ready_read_.word(word) & mask) != 0) ready = ready | Interest::read;
      if ((ready_write_.word(word) & mask) != 0) ready = ready | Interest::write;
      events[used++] = {entries_[word * FdBits::kWordBits + bit].token, Ready(ready)};
    }
    return used;
  }

  // Drops every closed descriptor, because a single one makes each select() fail with EBADF.
  // Returns how many it dropped.
  std::size_t drop_closed() {
    std::size_t dropped = 0;
    for (std::size_t index = 0; index < limit_; ++index) {
      struct stat status {};
      if (!any(entries_[index].interest)) continue;
      if (::fstat(static_cast<int>(index), &status) == 0) continue;
      set_interest(index, Interest::none);
      ++dropped;
    }
    return dropped;
  }

  std::vector<Entry> entries_;  // indexed by descriptor
  FdBits read_, write_;         // the bits asked for
  FdBits ready_read_, ready_write_;
  std::size_t limit_ = 0;      // one more than the largest descriptor that is asked for
  std::size_t next_word_ = 0;  // where the next batch starts
};

}  // namespace

Result<std::unique_ptr<Poller>> make_select_poller() {
  return std::unique_ptr<Poller>(std::make_unique<SelectPoller>());
}

}  // namespace reactor
