// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

#include "reactor/base/callback.h"
#include "reactor/base/lifetime.h"

namespace reactor {

template <class Signature>
class HeldCallback;

// A HeldCallback is a Callback that its owner calls again and again. The callable may replace
// itself, empty the HeldCallback, or destroy the owner together with the HeldCallback: the callable
// itself lives until it returns (G2). While the callable runs, the HeldCallback is empty, so no
// second call of the callable can begin. When the callable returns or throws, it is put back,
// unless the HeldCallback was assigned to, emptied or destroyed meanwhile.
//
// A Callback that is called only once needs no HeldCallback: move it out and call the local copy.
template <class R, class... Args>
class HeldCallback<R(Args...)> {
 public:
  HeldCallback() noexcept = default;
  HeldCallback(const HeldCallback&) = delete;
  HeldCallback& operator=(const HeldCallback&) = delete;
  ~HeldCallback() = default;

  HeldCallback& operator=(Callback<R(Args...)> callback) noexcept {
    content_.end();
    callback_ = std::move(callback);
    return *this;
  }

  // Returns whether it can be called: it is neither empty nor running.
  explicit operator bool() const noexcept { return static_cast<bool>(callback_); }

  // Moves the callable out for its last call and leaves this empty.
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
    explicit Run(HeldCallback& owner) noexcept
        : holder(owner), callback(std::move(owner.callback_)), content(owner.content_) {}
    Run(const Run&) = delete;
    Run& operator=(const Run&) = delete;
    ~Run() {
      if (!content.over()) holder.callback_ = std::move(callback);
    }
    HeldCallback& holder;
    Callback<R(Args...)> callback;
    Lifetime::Watch content;
  };

  Callback<R(Args...)> callback_;
  Lifetime content_;  // ends when this is assigned to or emptied
};

}  // namespace reactor
