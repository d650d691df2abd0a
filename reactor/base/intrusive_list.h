// SPDX-License-Identifier: MIT
#pragma once

namespace reactor {

// ListLink is a link of a circular, doubly linked list. It is a member of the object that it links.
// If the link is in no list, `next` is null.
struct ListLink {
  ListLink* next = nullptr;
  ListLink* prev = nullptr;

  [[nodiscard]] bool linked() const noexcept { return next != nullptr; }

  // Removes the link from its list. Does nothing if it is in none.
  void unlink() noexcept {
    if (next == nullptr) return;
    prev->next = next;
    next->prev = prev;
    next = nullptr;
  }
};

// IntrusiveList is the head of a list of ListLinks. The list owns nothing; each link must be
// unlinked before it is destroyed.
class IntrusiveList {
 public:
  IntrusiveList() noexcept { head_.next = head_.prev = &head_; }
  IntrusiveList(const IntrusiveList&) = delete;
  IntrusiveList& operator=(const IntrusiveList&) = delete;
  ~IntrusiveList() = default;

  [[nodiscard]] bool empty() const noexcept { return head_.next == &head_; }
  [[nodiscard]] ListLink* first() noexcept { return empty() ? nullptr : head_.next; }
  [[nodiscard]] ListLink* last() noexcept { return empty() ? nullptr : head_.prev; }
  // Returns the link after `link`, or null if `link` is the last.
  [[nodiscard]] ListLink* after(const ListLink& link) noexcept {
    return link.next == &head_ ? nullptr : link.next;
  }

  void append(ListLink& link) noexcept {
    link.next = &head_;
    link.prev = head_.prev;
    head_.prev->next = &link;
    head_.prev = &link;
  }

  // Moves all links of `from` to the end of this list.
  void splice(IntrusiveList& from) noexcept {
    if (from.empty()) return;
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): a head's links are never null.
    from.head_.next->prev = head_.prev;
    from.head_.prev->next = &head_;
    head_.prev->next = from.head_.next;
    head_.prev = from.head_.prev;
    from.head_.next = from.head_.prev = &from.head_;
  }

 private:
  ListLink head_;
};

}  // namespace reactor
