// SPDX-License-Identifier: MIT
#include "servers/settings/config_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <string_view>

#include "reactor/base/error.h"
#include "reactor/base/unique_fd.h"
#include "servers/settings/brief.h"
#include "servers/settings/values.h"

namespace servers {
namespace {

constexpr std::size_t kMostBytes = 1U << 20;
constexpr std::string_view kBlanks = " \t\r";

std::string_view trim(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kBlanks);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlanks) - begin + 1);
}

std::string content_of(const std::string& flag, const std::string& path) {
  const auto refuse = [&](const std::string& reason) {
    throw BadValue(flag, path, reason, "give a file of lines KEY = VALUE that this user may read");
  };
  // Without O_NONBLOCK a FIFO would make a running server wait when it reads the file again.
  const reactor::UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) refuse(reactor::last_system_error().message());
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) refuse(reactor::last_system_error().message());
  if (!S_ISREG(status.st_mode)) refuse("not a regular file");
  std::string content;
  std::array<char, 4096> buffer;
  for (;;) {
    const ssize_t count = ::read(fd.get(), buffer.data(), buffer.size());
    if (count < 0) refuse(reactor::last_system_error().message());
    if (count <= 0) return content;
    content.append(buffer.data(), static_cast<std::size_t>(count));
    if (content.size() > kMostBytes) refuse("larger than 1 MiB");
  }
}

// Reads one value. Throws std::runtime_error with the reason.
class Value {
 public:
  explicit Value(std::string_view text) : text_(text) {}

  [[nodiscard]] std::string read() {
    if (!text_.starts_with('"')) return plain();
    std::string value;
    for (std::size_t at = 1; at < text_.size(); ++at) {
      if (text_[at] == '"') return end_quote(at + 1, std::move(value));
      if (text_[at] != '\\') {
        value += text_[at];
      } else {
        value += escaped(++at);
      }
    }
    throw std::runtime_error("no \" at the end; close the quotes, or write \\\" for one inside");
  }

 private:
  [[nodiscard]] std::string plain() const {
    for (std::size_t at = 0; at < text_.size(); ++at) {
      const bool blank_before = at == 0 || text_[at - 1] == ' ' || text_[at - 1] == '\t';
      if (text_[at] == '#' && blank_before) return std::string(trim(text_.substr(0, at)));
    }
    return std::string(text_);
  }

  [[nodiscard]] char escaped(std::size_t at) const {
    constexpr std::string_view kLetters = "\"\\nrt";
    constexpr std::string_view kMeanings = "\"\\\n\r\t";
    const std::size_t which = at < text_.size() ? kLetters.find(text_[at]) : kLetters.npos;
    if (which != kLetters.npos) return kMeanings[which];
    throw std::runtime_error(R"(an unknown escape; use \" \\ \n \r \t, or \\ for a \ itself)");
  }

  [[nodiscard]] std::string end_quote(std::size_t at, std::string value) const {
    const std::string_view rest = trim(text_.substr(at));
    if (rest.empty() || rest.front() == '#') return value;
    throw std::runtime_error("text after the closing \"; write \\\" for one inside");
  }

  std::string_view text_;
};

// Calls `each` with every line that is neither blank nor a comment, and with its number.
template <class Each>
void for_each_line(std::string_view content, const Each& each) {
  for (unsigned number = 1; !content.empty(); ++number) {
    const std::size_t end = content.find('\n');
    const std::string_view line = trim(content.substr(0, end));
    content = end == std::string_view::npos ? std::string_view() : content.substr(end + 1);
    if (!line.empty() && line.front() != '#') each(line, number);
  }
}

std::string_view key_of(std::string_view line) { return trim(line.substr(0, line.find('='))); }

Setting setting_in(const std::string& path, std::string_view line, unsigned number) {
  const std::size_t equals = line.find('=');
  const std::string key(key_of(line));
  const auto refuse = [&](const std::string& what, const std::string& reason) {
    throw BadConfig(path, number, what + ": " + reason);
  };
  const std::string quoted = "'" + brief(line) + "'";
  if (line.find('\0') != std::string_view::npos) refuse(quoted, "a NUL byte; remove it");
  if (equals == std::string_view::npos || key.empty()) {
    refuse(quoted, "not a setting; use KEY = VALUE");
  }
  try {
    return {key, Value(trim(line.substr(equals + 1))).read(), number};
  } catch (const std::runtime_error& error) {
    throw BadConfig(path, number, brief(key) + ": " + error.what());
  }
}

}  // namespace

BadConfig::BadConfig(const std::string& path, unsigned line, const std::string& what)
    : std::runtime_error(brief(path) + ":" + std::to_string(line) + ": " + what) {}

std::vector<Setting> read_config(const std::string& flag, const std::string& path) {
  std::vector<Setting> settings;
  for_each_line(content_of(flag, path), [&](std::string_view line, unsigned number) {
    settings.push_back(setting_in(path, line, number));
  });
  return settings;
}

std::optional<Setting> find_setting(const std::string& flag, const std::string& path,
                                    std::string_view key) {
  std::optional<Setting> found;
  for_each_line(content_of(flag, path), [&](std::string_view line, unsigned number) {
    if (key_of(line) != key || line.find('=') == std::string_view::npos) return;
    if (found) throw BadConfig::twice(path, number, found->key, found->line);
    found = setting_in(path, line, number);
  });
  return found;
}

BadConfig BadConfig::twice(const std::string& path, unsigned line, const std::string& key,
                           unsigned first_line) {
  return {path, line,
          key + ": is in line " + std::to_string(first_line) + " already; remove one of them"};
}

}  // namespace servers
