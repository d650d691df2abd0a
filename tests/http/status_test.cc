// SPDX-License-Identifier: MIT
#include "reactor/http/internal/status.h"

#include <gtest/gtest.h>

#include "reactor/http/method.h"

namespace reactor::http {
namespace {

TEST(Status, HasTheReasonsOfTheRegistry) {
  EXPECT_EQ(reason_phrase(100), "Continue");
  EXPECT_EQ(reason_phrase(200), "OK");
  EXPECT_EQ(reason_phrase(413), "Content Too Large");
  EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
  EXPECT_EQ(reason_phrase(511), "Network Authentication Required");
  for (const int unknown : {-1, 0, 99, 299, 418, 419, 599, 1000}) {
    EXPECT_EQ(reason_phrase(unknown), "");
  }
}

TEST(Status, HasAReasonForAllThatAServerAnswersItself) {
  for (const int status : {400, 405, 408, 411, 413, 414, 417, 431, 500, 501, 503, 505}) {
    EXPECT_NE(reason_phrase(status), "") << status;
  }
}

TEST(Method, GoesToTextAndBack) {
  for (int i = 0; i < static_cast<int>(Method::other); ++i) {
    const auto method = static_cast<Method>(i);
    EXPECT_FALSE(to_string(method).empty());
    EXPECT_EQ(to_method(to_string(method)), method);
  }
  EXPECT_EQ(to_string(Method::del), "DELETE");
  EXPECT_EQ(to_string(Method::other), "");
  EXPECT_EQ(to_method("get"), Method::other);
  EXPECT_EQ(to_method(""), Method::other);
}

}  // namespace
}  // namespace reactor::http
