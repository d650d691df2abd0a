// SPDX-License-Identifier: MIT
#include "reactor/http/responder.h"

#include <utility>

#include "reactor/http/internal/exchange.h"
#include "reactor/http/internal/http_connection.h"

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
  if (exchange_ != nullptr) exchange_->connection.abandon(*exchange_);
  exchange_ = std::exchange(other.exchange_, nullptr);
  if (exchange_ != nullptr) exchange_->responder = this;
  return *this;
}

Responder::~Responder() {
  if (exchange_ != nullptr) exchange_->connection.abandon(*exchange_);
}

void Responder::send(const Response& response) {
  if (exchange_ != nullptr) exchange_->connection.send(*exchange_, response);
}

void Responder::begin(const Response& response, std::optional<std::uint64_t> length) {
  if (exchange_ != nullptr) exchange_->connection.begin(*exchange_, response, length);
}

void Responder::write(std::string_view content) {
  if (exchange_ != nullptr) exchange_->connection.write(*exchange_, content);
}

void Responder::finish() {
  if (exchange_ != nullptr) exchange_->connection.finish(*exchange_);
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
  if (exchange_ == nullptr) return;
  exchange_->on_body = std::move(callback);
  exchange_->connection.want_body(*exchange_);
}

void Responder::pause_body() {
  if (exchange_ != nullptr) exchange_->connection.pause_body(*exchange_, true);
}

void Responder::resume_body() {
  if (exchange_ != nullptr) exchange_->connection.pause_body(*exchange_, false);
}

}  // namespace reactor::http
