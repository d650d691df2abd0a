// SPDX-License-Identifier: MIT
// A Responder and its Exchange point to each other until one of them ends the response. A Responder
// without an Exchange is dead.
#include "reactor/http/responder.h"

#include <utility>

#include "reactor/http/internal/exchange.h"
#include "reactor/net/stream/stream.h"

namespace reactor::http {

Responder::Responder(Exchange& exchange) noexcept : exchange_(&exchange) {
  exchange.responder = this;
}

Responder::Responder(Responder&& other) noexcept
    : exchange_(std::exchange(other.exchange_, nullptr)) {
  if (exchange_ != nullptr) exchange_->responder = this;
}

Responder& Responder::operator=(Responder&& other) noexcept {
  if (this == &other) return *this;
  if (exchange_ != nullptr) exchange_->abandon();
  exchange_ = std::exchange(other.exchange_, nullptr);
  if (exchange_ != nullptr) exchange_->responder = this;
  return *this;
}

Responder::~Responder() {
  if (exchange_ != nullptr) exchange_->abandon();
}

void Responder::send(const Response& response) {
  if (exchange_ != nullptr) exchange_->send(response);
}

void Responder::begin(const Response& response, std::optional<std::uint64_t> length) {
  if (exchange_ != nullptr) exchange_->begin(response, length);
}

void Responder::write(std::string_view content) {
  if (exchange_ != nullptr) exchange_->write(content);
}

void Responder::finish() {
  if (exchange_ != nullptr) exchange_->finish();
}

bool Responder::writable() const noexcept {
  return exchange_ != nullptr && exchange_->stream.writable();
}

void Responder::on_drain(Callback<void()> callback) {
  if (exchange_ != nullptr) exchange_->on_drain = std::move(callback);
}

void Responder::on_close(Callback<void()> callback) {
  if (exchange_ != nullptr) exchange_->on_close = std::move(callback);
}

void Responder::on_body(Callback<void(std::string_view, bool)> callback) {
  if (exchange_ != nullptr) exchange_->set_on_body(std::move(callback));
}

void Responder::pause_body() {
  if (exchange_ != nullptr) exchange_->pause_body();
}

void Responder::resume_body() {
  if (exchange_ != nullptr) exchange_->resume_body();
}

}  // namespace reactor::http
