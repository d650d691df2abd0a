// SPDX-License-Identifier: MIT
// Result<T> is a value or a std::error_code. Its member names are those of std::expected, which
// clang 14 to 18 lack with libstdc++. Result does not depend on the language mode, so all
// translation units of a program have the same type.
#pragma once

#include <memory>
#include <system_error>
#include <type_traits>
#include <utility>

namespace reactor {

// A Result is the outcome of a call. It is [[nodiscard]]: ignoring an error is a bug in the caller.
// T is a movable object type, or void (the default). A Result is never empty. A code of 0 is not an
// error and must not be stored.
template <class T = void>
class [[nodiscard]] Result {
 public:
  using value_type = T;

  // NOLINTNEXTLINE: implicit, as std::expected's
  Result(T value) noexcept(std::is_nothrow_move_constructible_v<T>) : has_value_(true) {
    std::construct_at(&value_, std::move(value));
  }
  Result(std::error_code error) noexcept : error_(error), has_value_(false) {}  // NOLINT: implicit
  template <class E, std::enable_if_t<std::is_error_code_enum_v<E>, int> = 0>
  Result(E error) noexcept : Result(make_error_code(error)) {}  // NOLINT: implicit

  Result(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) { adopt(other); }
  Result& operator=(Result&& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
    if (this != &other) {
      clear();
      adopt(other);
    }
    return *this;
  }
  Result(const Result&) = delete;
  Result& operator=(const Result&) = delete;
  ~Result() { clear(); }

  [[nodiscard]] bool has_value() const noexcept { return has_value_; }
  explicit operator bool() const noexcept { return has_value_; }

  // Returns the error, or a code of 0 if there is a value.
  [[nodiscard]] std::error_code error() const noexcept {
    return has_value_ ? std::error_code{} : error_;
  }

  // Returns the value. Throws std::system_error with error() if there is none.
  [[nodiscard]] T& value() & { return check(), value_; }
  [[nodiscard]] const T& value() const& { return check(), value_; }
  [[nodiscard]] T&& value() && { return check(), std::move(value_); }

  // Return the value unchecked. The behaviour is undefined if there is none.
  [[nodiscard]] T& operator*() & noexcept { return value_; }
  [[nodiscard]] const T& operator*() const& noexcept { return value_; }
  [[nodiscard]] T&& operator*() && noexcept { return std::move(value_); }
  [[nodiscard]] T* operator->() noexcept { return &value_; }
  [[nodiscard]] const T* operator->() const noexcept { return &value_; }

  [[nodiscard]] T value_or(T fallback) && {
    return has_value_ ? std::move(value_) : std::move(fallback);
  }

 private:
  void check() const {
    if (!has_value_) throw std::system_error(error_);
  }
  void clear() noexcept {
    if (has_value_) std::destroy_at(&value_);
  }
  void adopt(Result& other) noexcept(std::is_nothrow_move_constructible_v<T>) {
    has_value_ = other.has_value_;
    if (has_value_) {
      std::construct_at(&value_, std::move(other.value_));
    } else {
      std::construct_at(&error_, other.error_);
    }
  }

  union {
    T value_;
    std::error_code error_;
  };
  bool has_value_;
};

// A successful Result<void> stores no std::error_code. In most standard libraries, making one would
// cost a function call, to get the category.
template <>
class [[nodiscard]] Result<void> {
 public:
  using value_type = void;

  Result() noexcept : nothing_(0), has_value_(true) {}
  Result(std::error_code error) noexcept  // NOLINT: implicit, as expected's
      : error_(error), has_value_(!error) {}
  template <class E, std::enable_if_t<std::is_error_code_enum_v<E>, int> = 0>
  Result(E error) noexcept : Result(make_error_code(error)) {}  // NOLINT: implicit

  [[nodiscard]] bool has_value() const noexcept { return has_value_; }
  explicit operator bool() const noexcept { return has_value_; }
  [[nodiscard]] std::error_code error() const noexcept {
    return has_value_ ? std::error_code{} : error_;
  }

  // Throws std::system_error with error() if the call failed.
  void value() const {
    if (!has_value_) throw std::system_error(error_);
  }

 private:
  union {
    char nothing_;
    std::error_code error_;
  };
  bool has_value_;
};

}  // namespace reactor
