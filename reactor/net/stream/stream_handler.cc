// SPDX-License-Identifier: MIT
// This file has the default callbacks of StreamHandler and StreamOwner. If the compiler saw them in
// stream.cc, it would compile each call there twice: inlined for the default, and more slowly for
// all other handlers.
#include "reactor/net/stream/stream_handler.h"

#include "reactor/net/internal/net_context.h"
#include "reactor/net/stream/stream.h"

namespace reactor {

void StreamOwner::on_stream_idle(Stream&) noexcept {}

std::span<std::byte> Stream::scratch() const noexcept { return context_->scratch; }

std::span<std::byte> StreamHandler::read_buffer(Stream& stream) { return stream.scratch(); }
void StreamHandler::on_open(Stream&) {}
void StreamHandler::on_end(Stream& stream) { stream.close(); }
void StreamHandler::on_drain(Stream&) {}
void StreamHandler::on_flushed(Stream&) {}
void StreamHandler::on_timeout(Stream& stream) { stream.fail(Errc::timed_out); }
void StreamHandler::on_call(Stream&) {}
void StreamHandler::on_shutdown(Stream& stream) { stream.close(); }
HandOver StreamHandler::on_hand_over(Stream&, std::vector<std::byte>&) { return HandOver::no; }
void StreamHandler::on_adopt(Stream& stream, std::span<const std::byte>) { on_open(stream); }
void StreamHandler::on_close(Stream&, std::error_code) noexcept {}
void StreamHandler::on_loop_end(Stream&) noexcept {}

}  // namespace reactor
