// SPDX-License-Identifier: MIT
// An application with its own loop: counts the lines on standard input, prints the number each
// second, gets a message from a thread, and ends at the end of the input or on Ctrl-C.
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <iostream>
#include <system_error>
#include <thread>

#include "reactor/loop/loop.h"

int main() try {
  using namespace std::chrono_literals;
  reactor::Loop loop;
  long lines = 0;
  reactor::IoWatcher input =  // its destructor stops the watching at once
      loop.watch(STDIN_FILENO, reactor::Interest::read,
                 [&](reactor::Ready) {
                   std::array<char, 4096> buffer;
                   const ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
                   if (got > 0) lines += std::count(buffer.begin(), buffer.begin() + got, '\n');
                   if (got == 0) loop.stop();
                 })
          .value();
  reactor::Timer tick = loop.every(1s, [&] { std::cout << lines << " lines so far" << std::endl; });
  reactor::SignalWatcher quit = loop.on_signal(SIGINT, [&] { loop.stop(); }).value();
  std::thread worker([&] { loop.post([] { std::cout << "the thread is done" << std::endl; }); });
  loop.run().value();
  worker.join();
  std::cout << lines << " lines" << std::endl;
} catch (const std::system_error& error) {
  std::cerr << "embed: " << error.what() << '\n';
  return 1;
}
