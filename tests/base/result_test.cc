// SPDX-License-Identifier: MIT
#include "reactor/base/result.h"

#include <gtest/gtest.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>

#include "reactor/base/error.h"

namespace reactor {
namespace {

// Counts its live instances.
struct Counted {
  explicit Counted(int& count) : alive(&count) { ++*alive; }
  Counted(Counted&& other) noexcept : alive(other.alive) { ++*alive; }
  Counted& operator=(Counted&&) = delete;
  ~Counted() { --*alive; }
  int* alive;
};

Result<int> half(int number) {
  if (number % 2 != 0) return std::make_error_code(std::errc::invalid_argument);
  return number / 2;
}

TEST(Result, HoldsAValue) {
  const Result<int> result = half(8);
  ASSERT_TRUE(result);
  EXPECT_TRUE(result.has_value());
  EXPECT_EQ(*result, 4);
  EXPECT_EQ(result.value(), 4);
  EXPECT_FALSE(result.error());
}

TEST(Result, HoldsAnError) {
  const Result<int> result = half(7);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error(), std::errc::invalid_argument);
}

TEST(Result, ValueOfAnErrorThrowsThatError) {
  const Result<int> result = Errc::nested_run;
  try {
    static_cast<void>(result.value());
    FAIL() << "did not throw";
  } catch (const std::system_error& problem) {
    EXPECT_EQ(problem.code(), Errc::nested_run);
  }
}

TEST(Result, OwnErrorsConvertByThemselves) {
  const Result<std::string> result = Errc::not_supported;
  EXPECT_EQ(result.error(), std::errc::not_supported);
  EXPECT_EQ(result.error().category(), reactor_category());
}

TEST(Result, CarriesMoveOnlyValues) {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(3);
  ASSERT_TRUE(result);
  EXPECT_EQ(**result, 3);
  const std::unique_ptr<int> taken = std::move(result).value();
  EXPECT_EQ(*taken, 3);
}

TEST(Result, ArrowReachesIntoTheValue) {
  const Result<std::string> result = std::string("abc");
  EXPECT_EQ(result->size(), 3U);
}

TEST(Result, ValueOrTakesTheFallbackOnlyForAnError) {
  EXPECT_EQ(half(8).value_or(-1), 4);
  EXPECT_EQ(half(7).value_or(-1), -1);
}

TEST(Result, DestroysItsValueOnce) {
  int alive = 0;
  {
    Result<Counted> first = Counted(alive);
    EXPECT_EQ(alive, 1);
    const Result<Counted> second = std::move(first);
    EXPECT_EQ(*second->alive, 2) << "a moved-from value is still a value";
  }
  EXPECT_EQ(alive, 0);
}

TEST(Result, AssignmentReplacesValueByErrorAndBack) {
  int alive = 0;
  Result<Counted> result = Counted(alive);
  result = Result<Counted>(Errc::timed_out);
  EXPECT_EQ(alive, 0);
  EXPECT_EQ(result.error(), std::errc::timed_out);
  result = Result<Counted>(Counted(alive));
  EXPECT_TRUE(result);
  EXPECT_EQ(alive, 1);
}

TEST(Result, AssignmentToItselfKeepsTheValue) {
  Result<std::string> result = std::string("still here");
  Result<std::string>& alias = result;
  result = std::move(alias);
  ASSERT_TRUE(result);
  EXPECT_EQ(*result, "still here");
}

TEST(Result, OfNothing) {
  const Result<> good;
  EXPECT_TRUE(good);
  EXPECT_FALSE(good.error());
  EXPECT_NO_THROW(good.value());
  const Result<> bad = Errc::wrong_process;
  EXPECT_FALSE(bad);
  EXPECT_EQ(bad.error(), Errc::wrong_process);
  EXPECT_THROW(bad.value(), std::system_error);
}

TEST(Errors, EveryOneOfOursHasItsOwnMessage) {
  std::string before;
  for (int code = static_cast<int>(Errc::wrong_process);
       code <= static_cast<int>(Errc::unknown_group); ++code) {
    const std::string message = make_error_code(static_cast<Errc>(code)).message();
    EXPECT_EQ(message.find("unknown"), std::string::npos) << code;
    EXPECT_NE(message, before) << code;
    before = message;
  }
  EXPECT_NE(reactor_category().message(9999).find("9999"), std::string::npos);
  EXPECT_STREQ(reactor_category().name(), "reactor");
}

TEST(Errors, OursCompareEqualToTheStandardConditionThatTheyMean) {
  EXPECT_EQ(make_error_code(Errc::not_supported), std::errc::not_supported);
  EXPECT_EQ(make_error_code(Errc::timed_out), std::errc::timed_out);
  EXPECT_NE(make_error_code(Errc::wrong_process), std::errc::not_supported);
  EXPECT_NE(make_error_code(Errc::nested_run), make_error_code(Errc::wrong_process));
}

TEST(Errors, SomePassByThemselves) {
  for (const int number : {EINTR, EAGAIN, ENOMEM, ENOBUFS}) {
    EXPECT_TRUE(is_transient(system_error(number))) << number;
  }
  EXPECT_FALSE(is_transient(system_error(EPIPE)));
  EXPECT_FALSE(is_transient({}));
}

TEST(Errors, TheSystemsKeepTheirNumber) {
  errno = ENFILE;
  const std::error_code code = last_system_error();
  EXPECT_EQ(code, std::errc::too_many_files_open_in_system);
  EXPECT_EQ(code.category(), std::system_category());
  EXPECT_EQ(system_error(EPERM), std::errc::operation_not_permitted);
}

}  // namespace
}  // namespace reactor
