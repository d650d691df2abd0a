// SPDX-License-Identifier: MIT
// Feeds any bytes to the servers' configuration file. A file is accepted as a whole, or refused
// with one line of text that names the faulty line.
#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "reactor/base/unique_fd.h"
#include "servers/settings/config_file.h"
#include "servers/settings/values.h"
#include "tests/fuzz/fuzz.h"

namespace {

using reactor::fuzz::demand;

// A file in memory, because the configuration is read from a path.
class File {
 public:
  explicit File(std::string_view content) : fd_(::memfd_create("config", MFD_CLOEXEC)) {
    demand(static_cast<bool>(fd_), "a file in memory");
    const ssize_t written = ::write(fd_.get(), content.data(), content.size());
    demand(written == static_cast<ssize_t>(content.size()), "that holds the input");
  }
  [[nodiscard]] std::string path() const { return "/proc/self/fd/" + std::to_string(fd_.get()); }

 private:
  reactor::UniqueFd fd_;
};

std::string quoted(const std::string& value) {
  std::string text = "\"";
  for (const char byte : value) {
    if (byte == '"' || byte == '\\') text += '\\';
    if (byte == '\n') {
      text += "\\n";
    } else {
      text += byte;
    }
  }
  return text + "\"";
}

void check_message(std::string_view message) {
  for (const char byte : message) {
    demand(static_cast<unsigned char>(byte) >= 0x20, "a complaint is one line of text");
  }
}

// Writes each value in quotes and reads it again. The value must be the same.
void check_again(const std::vector<servers::Setting>& settings) {
  std::string text;
  for (const servers::Setting& setting : settings) {
    text += setting.key + " = " + quoted(setting.value) + "\n";
  }
  const File file(text);
  const std::vector<servers::Setting> again = servers::read_config("--config", file.path());
  demand(again.size() == settings.size(), "as many settings");
  for (std::size_t i = 0; i < again.size(); ++i) {
    demand(again[i].key == settings[i].key, "of the same keys");
    demand(again[i].value == settings[i].value, "and values");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const File file(text);
  try {
    const auto settings = servers::read_config("--config", file.path());
    check_again(settings);
  } catch (const servers::BadConfig& error) {
    check_message(error.what());
  } catch (const servers::BadValue& error) {
    check_message(error.what());
  }
  return 0;
}
