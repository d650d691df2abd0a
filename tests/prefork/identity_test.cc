// SPDX-License-Identifier: MIT
// The user and the groups that a process runs as. It can't get other ones later.
#include "reactor/prefork/identity.h"

#include <grp.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "reactor/base/error.h"
#include "tests/support/fork.h"

namespace reactor::prefork {
namespace {

// Returns a number for which `find` has no entry, as text.
template <class Find>
std::string number_without_entry(Find find) {
  unsigned number = 3'999'999'998;
  while (find(number) != nullptr) --number;
  return std::to_string(number);
}
std::string nobodys_user() { return number_without_entry(&::getpwuid); }
std::string nobodys_group() { return number_without_entry(&::getgrgid); }

bool has(const Identity& identity, gid_t group) {
  return std::count(identity.groups.begin(), identity.groups.end(), group) == 1;
}

TEST(IdentityTest, WithoutAUserItIsThePresentOne) {
  const Identity present = find_identity("", "").value();
  EXPECT_EQ(present.user, ::geteuid());
  EXPECT_EQ(present.group, ::getegid());
  EXPECT_EQ(present.groups, std::vector<gid_t>{::getegid()});
  const std::string number = nobodys_group();
  const Identity other = find_identity("", number).value();
  EXPECT_EQ(other.user, ::geteuid());
  EXPECT_EQ(std::to_string(other.group), number);
  EXPECT_EQ(other.groups, std::vector<gid_t>{other.group});
}

TEST(IdentityTest, AUserIsFoundByNameAndByNumber) {
  const passwd* const entry = ::getpwuid(0);
  ASSERT_NE(entry, nullptr);
  const std::string name = entry->pw_name;
  const gid_t group = entry->pw_gid;
  for (const std::string& user : {name, std::string("0")}) {
    const Identity identity = find_identity(user, "").value();
    EXPECT_EQ(identity.user, 0U);
    EXPECT_EQ(identity.group, group);
    EXPECT_TRUE(has(identity, group));
  }
  const std::string number = nobodys_group();
  const Identity identity = find_identity(name, number).value();
  EXPECT_EQ(std::to_string(identity.group), number);
  EXPECT_TRUE(has(identity, identity.group));
}

TEST(IdentityTest, AGroupIsFoundByNameAndByNumber) {
  const struct group* const entry = ::getgrgid(0);
  ASSERT_NE(entry, nullptr);
  for (const std::string& group : {std::string(entry->gr_name), std::string("0")}) {
    EXPECT_EQ(find_identity("", group).value().group, 0U);
  }
}

// The groups of a user without an entry are unknown.
TEST(IdentityTest, ANumberWithoutAnEntryNeedsAGroup) {
  const std::string number = nobodys_user();
  EXPECT_EQ(find_identity(number, "").error(), Errc::unknown_group);
  const Identity identity = find_identity(number, "0").value();
  EXPECT_EQ(std::to_string(identity.user), number);
  EXPECT_EQ(identity.group, 0U);
  EXPECT_EQ(identity.groups, std::vector<gid_t>{0});
}

TEST(IdentityTest, AnythingElseIsUnknown) {
  // setuid(2) takes -1 for "leave it as it is".
  for (const std::string& text :
       {std::string("no such name"), std::string("0x"), std::string("-1"),
        std::string("4294967295"), std::string("4294967296"), std::string("root\0", 5)}) {
    EXPECT_EQ(find_identity(text, "").error(), Errc::unknown_user) << text;
    EXPECT_EQ(find_identity(text, "0").error(), Errc::unknown_user) << text;
    EXPECT_EQ(find_identity("", text).error(), Errc::unknown_group) << text;
  }
}

TEST(IdentityTest, OnlyTheSameUserAndGroupAreCurrent) {
  if (::getuid() != ::geteuid() || ::getgid() != ::getegid()) GTEST_SKIP() << "two at once";
  const Identity present = find_identity("", "").value();
  EXPECT_TRUE(is_current(present));
  EXPECT_FALSE(is_current({present.user + 1, present.group, {}}));
  EXPECT_FALSE(is_current({present.user, present.group + 1, {}}));
}

constexpr uid_t kNobody = 65534;
const Identity kNobodys{kNobody, kNobody, {kNobody, 1}};

TEST(IdentityFork, RootBecomesTheUserForGood) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can";
  const auto drop = [] {
    ASSERT_FALSE(drop_to(kNobodys));
    EXPECT_TRUE(is_current(kNobodys));
    std::vector<gid_t> groups(64);
    const int count = ::getgroups(64, groups.data());
    ASSERT_EQ(count, 2);
    EXPECT_EQ(std::max(groups[0], groups[1]), kNobody);
    EXPECT_NE(::setuid(0), 0);
    EXPECT_NE(::seteuid(0), 0);
    EXPECT_NE(::setgid(0), 0);
  };
  EXPECT_EQ(in_child(drop), 0);
}

TEST(IdentityFork, RootMayStayRoot) {
  if (::geteuid() != 0) GTEST_SKIP() << "only root can";
  const auto drop = [] {
    EXPECT_FALSE(drop_to({0, 0, {0}}));
    EXPECT_TRUE(is_current({0, 0, {}}));
  };
  EXPECT_EQ(in_child(drop), 0);
}

TEST(IdentityFork, AnyOtherUserCanOnlyStay) {
  const auto drop = [] {
    if (::geteuid() == 0) {
      ASSERT_FALSE(drop_to(kNobodys));
    }
    const Identity present = find_identity("", "").value();
    EXPECT_FALSE(drop_to(present));
    EXPECT_EQ(drop_to({present.user - 1, present.group, {}}), std::errc::operation_not_permitted);
    EXPECT_EQ(drop_to({present.user, present.group - 1, {}}), std::errc::operation_not_permitted);
    EXPECT_TRUE(is_current(present));
  };
  EXPECT_EQ(in_child(drop), 0);
}

}  // namespace
}  // namespace reactor::prefork
