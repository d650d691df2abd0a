// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "reactor/base/callback.h"
#include "reactor/base/lifetime.h"

namespace reactor {

template <class Signature>
class CallbackSlot;

// The place for a Callback that its owner calls again and again. The callable may replace itself,
// empty the slot, or destroy the slot with its owner: it lives until it returns (G2). While it runs
// the slot is empty, so that it is never entered twice; afterwards it is back, unless the slot was
// assigned to meanwhile. An exception changes nothing about that.
//
// A Callback that is called once needs no slot: move it out and call the local one.
template <class R, class... Args>
class CallbackSlot<R(Args...)> {
 public:
  CallbackSlot() noexcept = default;
  CallbackSlot(const CallbackSlot&) = delete;
  CallbackSlot& operator=(const CallbackSlot&) = delete;
  ~CallbackSlot() = default;

  CallbackSlot& operator=(Callback<R(Args...)> callback) noexcept {
    content_.end();
    callback_ = std::move(callback);
    return *this;
  }

  // Whether it can be called: neither empty, nor running.
  explicit operator bool() const noexcept { return static_cast<bool>(callback_); }

  // Moves the callable out for its last call; the slot is empty then.
  [[nodiscard]] Callback<R(Args...)> take() noexcept {
    content_.end();
    return std::move(callback_);
  }

  // Throws what the callable throws.
  R operator()(Args... args) {
    Run run(*this);
    return run.callback(std::forward<Args>(args)...);
  }

 private:
  struct Run {
    explicit Run(CallbackSlot& owner) noexcept
        : slot(owner), callback(std::move(owner.callback_)), content(owner.content_) {}
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() {
      if (!content.over()) slot.callback_ = std::move(callback);
    }
    CallbackSlot& slot;
    Callback<R(Args...)> callback;
    Lifetime::Watch content;
  };

  Callback<R(Args...)> callback_;
  Lifetime content_;  // over when the slot holds something else
};

}  // namespace reactor
