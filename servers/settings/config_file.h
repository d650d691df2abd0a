// SPDX-License-Identifier: MIT
// The file that --config names:
//
//   # a comment; blank lines are skipped
//   workers = 4
//   bind = 127.0.0.1:9090     # a comment after a blank
//   bind = unix:/run/ok.socket
//   body = "it's \"fine\" # no comment\n"
//
// A key is the long name of an option without its dashes. A value ends at the end of the line or at
// a `#` after a blank, and blanks around it are removed. Between double quotes it is taken
// literally, except for \" \\ \n \r \t.
#pragma once

#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace servers {

// A Setting is one line that sets an option.
struct Setting {
  std::string key;
  std::string value;
  unsigned line;  // from 1
};

// BadConfig reports a file whose text is wrong. what() is a message for the user: `FILE:LINE: the
// reason; the remedy`.
class BadConfig : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
  // `what` is used unchanged: the caller has cut text from the file and made it printable
  // (brief()).
  BadConfig(const std::string& path, unsigned line, const std::string& what);
  // The error for a key in a second line, if only one line may set it.
  [[nodiscard]] static BadConfig twice(const std::string& path, unsigned line,
                                       const std::string& key, unsigned first_line);
};

// Returns the settings of the file in its order; the caller checks the keys. Throws BadConfig, and
// BadValue for `flag` if the file does not exist, is not a regular file, or is larger than 1 MiB.
[[nodiscard]] std::vector<Setting> read_config(const std::string& flag, const std::string& path);

// Returns the line that sets `key`. Does not look for mistakes in other lines. Throws as
// read_config(), and BadConfig if there are two such lines.
[[nodiscard]] std::optional<Setting> find_setting(const std::string& flag, const std::string& path,
                                                  std::string_view key);

}  // namespace servers
