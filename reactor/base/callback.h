// SPDX-License-Identifier: MIT
// Callback<R(A...)> is a move-only callable. std::function requires copyable callables, and libc++
// lacks std::move_only_function. This class stores a callable of up to 32 bytes (a lambda that
// captures four pointers) in place. It allocates memory for a larger callable, and for one whose
// move constructor can throw.
#pragma once

#include <cstddef>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>

namespace reactor {

template <class Signature>
class Callback;

// Calling an empty Callback is undefined: test it first. Moving never throws and leaves the source
// empty. The constructor may throw an exception of the callable's copy or move constructor, or of
// operator new.
template <class R, class... Args>
class Callback<R(Args...)> {
 public:
  static constexpr std::size_t kInlineSize = 32;

  Callback() noexcept = default;
  Callback(std::nullptr_t) noexcept {}  // NOLINT: implicit, like std::function's

  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Callback> &&
           std::is_invocable_r_v<R, std::decay_t<F>&, Args...>)
      Callback(F&& callable) {  // NOLINT: implicit, like std::function's
    using Callable = std::decay_t<F>;
    if constexpr (fits<Callable>()) {
      std::construct_at(reinterpret_cast<Callable*>(storage_), std::forward<F>(callable));
      invoke_ = [](std::byte* self, Args... args) -> R {
        return (*std::launder(reinterpret_cast<Callable*>(self)))(std::forward<Args>(args)...);
      };
      manage_ = &manage_inline<Callable>;
    } else {
      std::construct_at(reinterpret_cast<Callable**>(storage_),
                        new Callable(std::forward<F>(callable)));
      invoke_ = [](std::byte* self, Args... args) -> R {
        return (**std::launder(reinterpret_cast<Callable**>(self)))(std::forward<Args>(args)...);
      };
      manage_ = &manage_heap<Callable>;
    }
  }

  Callback(Callback&& other) noexcept { take(other); }
  Callback& operator=(Callback&& other) noexcept {
    if (this != &other) {
      reset();
      take(other);
    }
    return *this;
  }
  Callback(const Callback&) = delete;
  Callback& operator=(const Callback&) = delete;
  ~Callback() { reset(); }

  explicit operator bool() const noexcept { return invoke_ != nullptr; }

  R operator()(Args... args) { return invoke_(storage_, std::forward<Args>(args)...); }

  // Destroys the callable and everything that it captured.
  void reset() noexcept {
    if (manage_ == nullptr) return;
    invoke_ = nullptr;
    std::exchange(manage_, nullptr)(storage_, nullptr);
  }

 private:
  using Invoke = R (*)(std::byte*, Args...);
  // A Manage function moves the callable from `self` to `target`, or destroys it if `target` is
  // null.
  using Manage = void (*)(std::byte* self, std::byte* target) noexcept;

  template <class Callable>
  static constexpr bool fits() {
    return sizeof(Callable) <= kInlineSize && alignof(Callable) <= alignof(void*) &&
           std::is_nothrow_move_constructible_v<Callable>;
  }

  template <class Callable>
  static void manage_inline(std::byte* self, std::byte* target) noexcept {
    Callable* callable = std::launder(reinterpret_cast<Callable*>(self));
    if (target != nullptr) {
      std::construct_at(reinterpret_cast<Callable*>(target), std::move(*callable));
    }
    std::destroy_at(callable);
  }

  template <class Callable>
  static void manage_heap(std::byte* self, std::byte* target) noexcept {
    Callable* callable = *std::launder(reinterpret_cast<Callable**>(self));
    if (target != nullptr) {
      std::construct_at(reinterpret_cast<Callable**>(target), callable);
    } else {
      delete callable;
    }
  }

  void take(Callback& other) noexcept {
    if (other.manage_ == nullptr) return;
    other.manage_(other.storage_, storage_);
    invoke_ = std::exchange(other.invoke_, nullptr);
    manage_ = std::exchange(other.manage_, nullptr);
  }

  Invoke invoke_ = nullptr;
  Manage manage_ = nullptr;
  alignas(void*) std::byte storage_[kInlineSize];
};

}  // namespace reactor
