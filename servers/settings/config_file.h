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
// a `#` after a blank, and blanks around it are removed. Text between double quotes is taken
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
  // `what` becomes a part of the message as it is. So the caller has to pass any text from the file
  // through brief(), which shortens it and makes it printable.
  BadConfig(const std::string& path, unsigned line, const std::string& what);
  // Returns the error for a second line with the same key, if only one line may set that key.
  [[nodiscard]] static BadConfig twice(const std::string& path, unsigned line,
                                       const std::string& key, unsigned first_line);
};

// Returns the settings in the order of their lines. Does not check whether the keys exist. Throws
// BadConfig, and BadValue for `flag` if the file does not exist, is not a regular file, or is
// larger than 1 MiB.
[[nodiscard]] std::vector<Setting> read_config(const std::string& flag, const std::string& path);

// Returns the line that sets `key`. Does not look for mistakes in other lines. Throws the
// exceptions of read_config(), and BadConfig if two lines set `key`.
[[nodiscard]] std::optional<Setting> find_setting(const std::string& flag, const std::string& path,
                                                  std::string_view key);

}  // namespace servers
