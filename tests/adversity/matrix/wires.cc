// SPDX-License-Identifier: MIT
// The functions that a program gives to a Stream besides its handler's: those of a Transport, of a
// StreamOwner, of a HandOverTarget, the picker of a TLS context, and on_loop_end(). The Stream is
// the subject's own, apart from the scene's connections.
#include <array>
#include <cerrno>
#include <deque>

#include "tests/adversity/matrix/scene.h"
#include "tests/support/stream_kit.h"

namespace reactor::adversity {
namespace {

constexpr std::string_view kText = "a text of some length";

// One Stream and its peer. The Stream sends kText, waits for a byte, and closes.
struct Talk {
  std::unique_ptr<tls::TlsPeer> peer;
  std::unique_ptr<Stream> stream;
};

class OfTalk : public Subject, protected StreamHandler, protected StreamOwner {
 public:
  using Subject::Subject;
  void provoke() override { begin(scene_.loop()).peer->write("x"); }
  void far_side() override {
    for (Talk& talk : talks_) talk.peer->read();
  }
  // Whether each peer has got everything, and the end.
  [[nodiscard]] bool satisfied() override {
    for (const Talk& talk : talks_) {
      if (!talk.peer->over()) return false;
      EXPECT_TRUE(fails() || talk.peer->got == kText) << "got " << talk.peer->got;
    }
    return true;
  }
  void destroy() override {
    for (Talk& talk : talks_) talk.stream.reset();
  }

 protected:
  [[nodiscard]] bool is(std::string_view call) const { return scene_.cell().call() == call; }
  // Whether the cell ends a Stream with an error.
  [[nodiscard]] bool fails() const { return is("error") || scene_.cell().action == "throw"; }
  // Called with the name of each function that is called.
  void reached(std::string_view call) {
    if (is(call) && std::exchange(asks_, false)) called();
  }

  Talk& begin(Loop& loop) {
    FdPair pair = make_tcp_pair();
    reset_on_close(pair.far.get());
    asks_ = true;
    Talk& talk = talks_.emplace_back();
    talk.peer = std::make_unique<tls::TlsPeer>(std::move(pair.far), peer_ssl());
    StreamHandler& handler = *this;
    StreamOwner* const owner = this;
    talk.stream = std::make_unique<Stream>(loop, Socket(std::move(pair.near)), handler,
                                           scene_.settings(), owner);
    if (auto transport = this->transport()) talk.stream->set_transport(std::move(transport));
    talk.stream->start();
    return talk;
  }

  virtual std::unique_ptr<Transport> transport() { return nullptr; }
  [[nodiscard]] virtual SSL* peer_ssl() { return nullptr; }

  void on_open(Stream& stream) override { stream.write(kText); }
  void on_data(Stream& stream, std::span<std::byte>) override { stream.close(); }
  void on_stream_closed(Stream&) noexcept override { reached("stream_closed"); }
  void on_stream_idle(Stream&) noexcept override { reached("stream_idle"); }

  std::deque<Talk> talks_;

 private:
  bool asks_ = false;  // the next call by that name acts
};

class OfTransport final : public OfTalk {
 public:
  using OfTalk::OfTalk;

 private:
  // Moves the bytes as a Stream without a transport does.
  class Pass final : public Transport {
   public:
    explicit Pass(OfTransport& subject) : subject_(subject) {}
    IoResult open(int) override {
      subject_.reached("open");
      return IoResult::bytes(0);
    }
    [[nodiscard]] bool open_is_costly() const noexcept override {
      subject_.reached("open_is_costly");
      return true;
    }
    [[nodiscard]] Duration open_limit() const noexcept override {
      subject_.reached("open_limit");
      return Transport::open_limit();
    }
    IoResult read(int fd, std::span<std::byte> buffer) override {
      subject_.reached("read");
      return subject_.is("error") ? IoResult::failed(EIO) : Socket::receive(fd, buffer);
    }
    IoResult write(int fd, std::span<const std::byte> bytes) override {
      subject_.reached("write");
      return Socket::send(fd, bytes);
    }
    IoResult end_writing(int) noexcept override {
      subject_.reached("end_writing");
      return IoResult::bytes(0);
    }
    [[nodiscard]] Interest read_needs() const noexcept override {
      subject_.reached("read_needs");
      return Interest::read;
    }
    [[nodiscard]] bool has_input() const noexcept override {
      subject_.reached("has_input");
      return false;
    }
    [[nodiscard]] bool can_read() const noexcept override {
      subject_.reached("can_read");
      return true;
    }
    void release() noexcept override { subject_.reached("release"); }
    [[nodiscard]] std::error_code error(IoResult failed) const noexcept override {
      subject_.reached("error");
      return failed.error();
    }

   private:
    OfTransport& subject_;
  };

  std::unique_ptr<Transport> transport() override { return std::make_unique<Pass>(*this); }
};

class OfPicker final : public OfTalk {
 public:
  OfPicker(Scene& scene, Role role) : OfTalk(scene, role) { set(acting()); }
  ~OfPicker() override { OfTalk::destroy(); }  // the context must outlive the Streams
  void destroy() override { context_->set_picker({}); }
  void replace() override { set(replacing()); }

 private:
  void set(Callback<void()> call) {
    context_->set_picker([call = std::move(call)](std::string_view) mutable {
      call();
      return nullptr;
    });
  }
  std::unique_ptr<Transport> transport() override { return context_->make_transport(); }
  [[nodiscard]] SSL* peer_ssl() override { return tls::peer_client(TLS1_3_VERSION); }

  std::unique_ptr<tls::ServerContext> context_ = tls::make_server();
};

class OfOwner final : public OfTalk {
 public:
  using OfTalk::OfTalk;
  void provoke() override {
    Talk& talk = begin(scene_.loop());
    if (is("stream_idle")) talk.stream->notify_idle();
    talk.peer->write("x");
  }
};

class OfTarget final : public OfTalk, private HandOverTarget {
 public:
  using OfTalk::OfTalk;
  void prepare() override { begin(scene_.loop()); }
  void provoke() override {
    EXPECT_EQ(talks_.front().stream->offer_to(*this), Stream::Offer::done);
  }
  [[nodiscard]] bool repeats() const override { return false; }

 private:
  HandOver on_hand_over(Stream&, std::vector<std::byte>&) override { return HandOver::now; }
  HandOverReply send(int, std::span<const std::byte>) noexcept override {
    reached("send");
    return HandOverReply::taken;
  }
};

// Destroys a loop of its own that still has a Stream.
class OfLoopEnd final : public OfTalk {
 public:
  using OfTalk::OfTalk;
  void provoke() override {
    const auto inner = std::make_unique<Loop>();
    begin(*inner);
  }
  [[nodiscard]] bool satisfied() override { return true; }

 private:
  void on_loop_end(Stream&) noexcept override { reached("loop_end"); }
};

constexpr std::array kWireKinds = {
    Kind{"transport.open", &make_subject<OfTransport>},
    Kind{"transport.open_is_costly", &make_subject<OfTransport>},
    Kind{"transport.open_limit", &make_subject<OfTransport>},
    Kind{"transport.read", &make_subject<OfTransport>},
    Kind{"transport.write", &make_subject<OfTransport>},
    Kind{"transport.end_writing", &make_subject<OfTransport>},
    Kind{"transport.read_needs", &make_subject<OfTransport>},
    Kind{"transport.has_input", &make_subject<OfTransport>},
    Kind{"transport.can_read", &make_subject<OfTransport>},
    Kind{"transport.release", &make_subject<OfTransport>},
    Kind{"transport.error", &make_subject<OfTransport>},
    Kind{"tls.picker", &make_subject<OfPicker>},
    Kind{"owner.stream_closed", &make_subject<OfOwner>},
    Kind{"owner.stream_idle", &make_subject<OfOwner>},
    Kind{"target.send", &make_subject<OfTarget>},
    Kind{"ending.loop_end", &make_subject<OfLoopEnd>},
};

}  // namespace

std::span<const Kind> wire_kinds() { return kWireKinds; }

}  // namespace reactor::adversity
