// SPDX-License-Identifier: MIT
// The file that --config names:
//
//   # a comment; blank lines are skipped
//   workers = 4
//   bind = 127.0.0.1:9090     # a comment after a blank
//   bind = unix:/run/ok.socket
//   body = "it's \"fine\" # no comment\n"
//
// A key is an option's long name without its dashes. A value goes to the end of the line or to a
// `#` after a blank, and loses the blanks around it; between double quotes it is taken as it is but
// for \" \\ \n \r \t.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace servers {

// One line that sets something.
struct Setting {
  std::string key;
  std::string value;
  unsigned line;  // from 1
};

// A file that can't be read as one. what() is for the user: `FILE:LINE: the reason; the remedy`.
class BadConfig : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  // `what` is put in as it is: what comes from the file, cut and made printable.
  BadConfig(const std::string& path, unsigned line, const std::string& what);
  // A key that only one line may set.
  [[nodiscard]] static BadConfig twice(const std::string& path, unsigned line,
                                       const std::string& key, unsigned first_line);
};

// What the file says, in its order; what the keys mean is for the caller to know. Throws BadConfig,
// and BadValue for `flag` where there is no such file, it is no regular one, or over 1 MiB.
[[nodiscard]] std::vector<Setting> read_config(const std::string& flag, const std::string& path);

// The line that sets `key`, whatever else is in the file: mistakes in other lines are not looked
// for. Throws as read_config(), and BadConfig if there are two such lines.
[[nodiscard]] std::optional<Setting> find_setting(const std::string& flag, const std::string& path,
                                                  std::string_view key);

}  // namespace servers
