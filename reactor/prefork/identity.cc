// SPDX-License-Identifier: MIT
// Identity: reads names and numbers from the system's databases, and changes the user of the
// process, which can't be undone.
#include "reactor/prefork/identity.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <charconv>
#include <optional>

#include "reactor/base/error.h"
#include "reactor/base/internal/c_string.h"
#include "reactor/prefork/internal/system/isolation.h"

namespace reactor::prefork {
namespace {

#if defined(__APPLE__)
using GroupNumber = int;  // as getgrouplist(3) takes it there
#else
using GroupNumber = gid_t;
#endif
#if defined(__linux__)
using GroupCount = std::size_t;  // as setgroups(2) takes it there
#else
using GroupCount = int;
#endif
constexpr int kMostGroups = 65536;  // NGROUPS_MAX on Linux

template <class Number>
std::optional<Number> number_in(const std::string& text) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  // -1 is no ID: chown(2) and setreuid(2) take it for "leave the ID as it is".
  if (error != std::errc{} || stop != end || number == static_cast<Number>(-1)) return {};
  return number;
}

Result<gid_t> find_group(const std::string& text) {
  if (!is_c_string(text)) return Errc::unknown_group;
  if (const struct group* entry = ::getgrnam(text.c_str())) return entry->gr_gid;
  if (const auto number = number_in<gid_t>(text)) return *number;
  return Errc::unknown_group;
}

const passwd* entry_of(const std::string& user) {
  if (!is_c_string(user)) return nullptr;
  if (const passwd* entry = ::getpwnam(user.c_str())) return entry;
  const auto number = number_in<uid_t>(user);
  return number ? ::getpwuid(*number) : nullptr;
}

std::vector<gid_t> groups_of(const char* user, gid_t group) {
  std::vector<GroupNumber> numbers;
  for (int room = 64; room <= kMostGroups; room *= 2) {
    int count = room;
    numbers.resize(static_cast<std::size_t>(room));
    if (::getgrouplist(user, static_cast<GroupNumber>(group), numbers.data(), &count) < 0) continue;
    numbers.resize(static_cast<std::size_t>(count));
    return {numbers.begin(), numbers.end()};
  }
  return {group};
}

bool can_become_root() noexcept {
  return ::setuid(0) == 0 || ::seteuid(0) == 0 || ::setgid(0) == 0;
}

}  // namespace

Result<Identity> find_identity(const std::string& user, const std::string& group) {
  Identity identity{::geteuid(), ::getegid(), {}};
  if (!group.empty()) {
    const Result<gid_t> found = find_group(group);
    if (!found) return found.error();
    identity.group = *found;
  }
  identity.groups = {identity.group};
  if (user.empty()) return identity;
  if (const passwd* entry = entry_of(user)) {
    identity.user = entry->pw_uid;
    if (group.empty()) identity.group = entry->pw_gid;
    identity.groups = groups_of(entry->pw_name, identity.group);
    return identity;
  }
  const auto number = number_in<uid_t>(user);
  if (!number) return Errc::unknown_user;
  if (group.empty()) return Errc::unknown_group;
  identity.user = *number;
  return identity;
}

bool is_current(const Identity& identity) noexcept {
  return ::getuid() == identity.user && ::geteuid() == identity.user &&
         ::getgid() == identity.group && ::getegid() == identity.group;
}

std::error_code drop_to(const Identity& identity) noexcept {
  const uid_t before = ::geteuid();
  if (before == 0) {
    if (::setgroups(static_cast<GroupCount>(identity.groups.size()), identity.groups.data()) != 0 ||
        ::setgid(identity.group) != 0 || ::setuid(identity.user) != 0) {
      return last_system_error();
    }
    if (identity.user != 0 && can_become_root()) {
      return std::make_error_code(std::errc::operation_not_permitted);
    }
  }
  if (!is_current(identity)) return std::make_error_code(std::errc::operation_not_permitted);
  return give_up_rights(before);
}

}  // namespace reactor::prefork
