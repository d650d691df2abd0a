// SPDX-License-Identifier: MIT
// The callbacks of a Process: its exit, and those of the Streams on its pipes.
#include <array>

#include "reactor/process/child_process.h"
#include "tests/adversity/matrix/scene.h"
#include "tests/support/loop_test.h"

namespace reactor::adversity {
namespace {

class OfProcess final : public Subject, private StreamHandler {
 public:
  using Subject::Subject;
  // The child sends everything back that it gets.
  void provoke() override {
    ProcessOptions options;
    options.arguments = {"cat"};
    options.input = options.output = Redirect::pipe(*this, scene_.settings());
    process_ = get(Process::spawn(scene_.loop(), options,
                                  [this, call = acting()](Process&, ExitStatus) mutable {
                                    if (is("exit")) call();
                                  }));
  }
  [[nodiscard]] bool repeats() const override { return false; }
  void destroy() override { process_.reset(); }

 private:
  [[nodiscard]] bool is(std::string_view call) const { return scene_.cell().call() == call; }
  void reached(std::string_view call) {
    if (is(call) && !std::exchange(reached_, true)) called();
  }

  // Both pipes open in one turn, the input first.
  void on_open(Stream& stream) override {
    if (&stream == process_->input()) {
      stream.write(big_text());
      if (!is("drain") && !is("flushed")) stream.close();
    }
    reached("open");
  }
  void on_data(Stream&, std::span<std::byte>) override { reached("data"); }
  void on_drain(Stream&) override { reached("drain"); }
  void on_flushed(Stream&) override { reached("flushed"); }
  void on_end(Stream& stream) override {
    stream.close();
    reached("end");
  }
  void on_close(Stream&, std::error_code) noexcept override { reached("close"); }

  bool reached_ = false;
  std::unique_ptr<Process> process_;
};

constexpr std::array kProcessKinds = {
    Kind{"process.exit", &make_subject<OfProcess>},
    Kind{"process.open", &make_subject<OfProcess>},
    Kind{"process.data", &make_subject<OfProcess>},
    Kind{"process.drain", &make_subject<OfProcess>},
    Kind{"process.flushed", &make_subject<OfProcess>},
    Kind{"process.end", &make_subject<OfProcess>},
    Kind{"process.close", &make_subject<OfProcess>},
};

}  // namespace

std::span<const Kind> process_kinds() { return kProcessKinds; }

}  // namespace reactor::adversity
