// SPDX-License-Identifier: MIT
// Runs a command and shows its output line by line. Reads standard input as a stream and passes it
// on to the command.
//
//   example_process ping -c 3 127.0.0.1
#include <unistd.h>

#include <iostream>
#include <string>
#include <string_view>

#include "reactor/reactor.h"

namespace {

// Splits the input from a pipe into lines.
class Lines final : public reactor::StreamHandler {
 public:
  explicit Lines(std::string_view label) : label_(label) {}

  void on_data(reactor::Stream&, std::span<std::byte> bytes) override {
    rest_.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    std::size_t start = 0;
    for (std::size_t end = 0; (end = rest_.find('\n', start)) != std::string::npos;
         start = end + 1) {
      print(rest_.substr(start, end - start));
    }
    rest_.erase(0, start);
  }
  void on_end(reactor::Stream& stream) override {
    if (!rest_.empty()) print(rest_);
    stream.close();
  }

 private:
  void print(const std::string& line) const { std::cout << label_ << ": " << line << '\n'; }

  std::string_view label_;
  std::string rest_;
};

// Passes its input on to another stream, no faster than that stream takes it.
class Feed final : public reactor::StreamHandler {
 public:
  reactor::Stream* source = nullptr;
  reactor::Stream* target = nullptr;

  void on_data(reactor::Stream& stream, std::span<std::byte> bytes) override {
    target->write(bytes);
    if (!target->writable()) stream.pause_reading();
  }
  void on_drain(reactor::Stream&) override { source->resume_reading(); }
  void on_close(reactor::Stream& stream, std::error_code) noexcept override {
    (&stream == target ? source : target)->close();
  }
};

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::cerr << "usage: " << argv[0] << " COMMAND [ARGUMENT...]\n";
    return 2;
  }
  reactor::Loop loop;
  Lines output("out"), errors("err");
  Feed feed;
  const reactor::StreamOptions settings;
  reactor::ProcessOptions options;
  options.arguments.assign(argv + 1, argv + argc);
  options.input = reactor::Redirect::pipe(feed);
  options.output = reactor::Redirect::pipe(output);
  options.errors = reactor::Redirect::pipe(errors);

  int code = 1;
  auto process =
      reactor::Process::spawn(loop, options, [&](reactor::Process&, reactor::ExitStatus status) {
        code = status.exited() ? status.code() : 128 + status.signal();
        if (feed.source != nullptr) feed.source->close();
      });
  if (!process) {
    std::cerr << argv[1] << ": " << process.error().message() << '\n';
    return 127;
  }
  auto input = reactor::open_shared_pipe(loop, STDIN_FILENO, feed, settings);
  if (!input) {
    std::cerr << "standard input: " << input.error().message() << '\n';
    return 1;
  }
  feed.source = input->get();
  feed.target = (*process)->input();
  (*input)->start();
  static_cast<void>(loop.run());
  return code;
}
