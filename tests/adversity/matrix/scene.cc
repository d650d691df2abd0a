// SPDX-License-Identifier: MIT
#include "tests/adversity/matrix/scene.h"

#include <sys/socket.h>

#include <chrono>

#include "tests/adversity/matrix/actions.h"
#include "tests/adversity/matrix/checks.h"
#include "tests/support/loop_test.h"

namespace reactor::adversity {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view kProxyLine = "PROXY TCP4 127.0.0.1 127.0.0.2 1 2\r\n";

// Sets the limit for slow callbacks to 1 ns in the cells that are about slow callbacks. Elsewhere
// there is none.
LoopOptions options(const Cell& cell, Callback<void()> on_slow) {
  LoopOptions options;
  options.backend = cell.backend;
  options.slow_callback = Duration(cell.callback == "loop.slow" ? 1 : 0);
  options.on_slow = [call = std::move(on_slow)](const HandleInfo&, Duration) mutable { call(); };
  return options;
}

// All cells share one context, because making one costs more than a cell.
tls::ServerContext& server_context() {
  static const std::unique_ptr<tls::ServerContext> context = tls::make_server();
  return *context;
}

SSL* client_ssl() {
  static SSL* const model = tls::peer_client(TLS1_3_VERSION);
  SSL* const ssl = SSL_new(SSL_get_SSL_CTX(model));
  SSL_set_connect_state(ssl);
  SSL_set_tlsext_host_name(ssl, "localhost");
  return ssl;
}

}  // namespace

// ---- Parts of a scene ----

Scene::Scene(const Cell& cell, const Kind& kind)
    : cell_(cell),
      kind_(kind),
      expected_(expected_of(cell)),
      loop_(options(cell, [this] { report_slow(); })) {
  settings_.low_water = 1000;
  settings_.high_water = 10000;
  settings_.linger_idle = settings_.linger_time = milliseconds(20);
}

Scene::~Scene() = default;

ServerLimits Scene::limits() const {
  ServerLimits limits;
  limits.stream = settings_;
  if (cell_.kind() == "bare") return limits;
  if (cell_.carrier == Carrier::proxy) {
    limits.proxy.protocol = ProxyProtocol::either;
    limits.proxy.allow_from = {get(Network::parse("127.0.0.0/8")), get(Network::parse("::1"))};
  }
  if (cell_.carrier == Carrier::tls) limits.transports = &server_context();
  return limits;
}

std::string_view Scene::greeting() const {
  return cell_.kind() != "bare" && cell_.carrier == Carrier::proxy ? kProxyLine : "";
}

void Scene::listen() {
  ServerLimits limits = this->limits();
  subject_->adjust(limits);
  server_ = get(NeighbourServer::listen(loop_, Address::loopback(0), std::move(limits), *this));
}

std::unique_ptr<Transport> Scene::transport() {
  return cell_.carrier == Carrier::tls ? server_context().make_transport() : nullptr;
}

void Scene::join(Connection& connection, UniqueFd fd, bool secured) {
  reset_on_close(fd.get());
  const bool tls = secured && cell_.carrier == Carrier::tls;
  connection.far = std::make_unique<tls::TlsPeer>(std::move(fd), tls ? client_ssl() : nullptr);
}

Connection& Scene::knock() {
  Connection& connection = new_connection();
  join(connection, get(Socket::connect(server_->addresses().at(0))).release(),
       cell_.kind() != "bare");
  expect(connection);
  connection.served = true;
  connection.far->write(greeting());
  return connection;
}

UniqueFd Scene::knock_unknown() {
  UniqueFd client = get(Socket::connect(server_->addresses().at(0))).release();
  reset_on_close(client.get());
  write_text(client.get(), greeting());
  return client;
}

Connection& Scene::next_accepted() {
  if (knocking_.empty()) return new_connection();
  Connection& connection = *knocking_.front();
  knocking_.pop_front();
  return connection;
}

// ---- Playing ----

void Scene::play() {
  subject_ = kind_.make(*this, Role::first);
  sibling_ = kind_.make(*this, Role::sibling);
  listen();
  attempt([this] { subject_->prepare(); });
  if (sibling_ != nullptr) attempt([this] { sibling_->prepare(); });
  if (subject_->connection() == nullptr) neighbour_ = &knock();
  Checks checks(*this);
  if (!checks.begun()) return;
  armed_ = playing_ = true;
  loop_.post([this] { subject_->provoke(); });
  loop_.post([this] {
    if (sibling_ != nullptr && !sibling_destroyed_) sibling_->provoke();
  });
  EXPECT_TRUE(until([this] { return acted_; })) << "the callback did not come";
  checks.ends();
  leave();
  checks.over();
}

void Scene::turn(Duration wait) {
  if (cell_.action == "stop" && playing_ && !acted_) {
    run_until_stopped();
  } else {
    attempt([this, wait] { EXPECT_TRUE(loop_.run_once(wait)); });
  }
  read_far_sides();
}

// Runs the loop until the action stops it.
void Scene::run_until_stopped() {
  bool late = false;
  const Timer peers = loop_.every(milliseconds(1), [this] { read_far_sides(); });
  const Timer limit = loop_.after(kLimit, [&] {
    late = true;
    loop_.stop();
  });
  attempt([this] { EXPECT_TRUE(loop_.run()); });
  if (!late) ++stopped_;
}

void Scene::read_far_sides() {
  for (Connection& connection : connections_) connection.far_read();
  for (Subject* const subject : {subject_.get(), sibling_.get()}) {
    if (subject != nullptr) subject->far_side();
  }
}

bool Scene::waits_for(std::string_view call, const void* who) const {
  return armed_ && call == cell_.call() && subject_ != nullptr && who != nullptr &&
         who == subject_->connection();
}

void Scene::reach(std::string_view call, const void* who) {
  if (waits_for(call, who)) leave_or_act();
}

void Scene::reach(Role role) {
  if (role == Role::sibling) {
    ++sibling_calls_;
  } else if (++calls_ == 1) {
    leave_or_act();
  }
}

void Scene::leave_or_act() {
  armed_ = false;
  switch (cell_.when) {
    case When::now:
      return act();
    case When::deferred:
      later_ = loop_.deferred([this] { act(); });
      return later_.schedule();
    case When::posted:
      return loop_.post([this] { act(); });
  }
}

void Scene::act() {
  acted_ = true;
  if (subject_ != nullptr) {
    own_ = subject_->connection();
    acts_on_server_ = subject_->service() == nullptr;
  }
  find_action(cell_.action)->run(*this);
}

// Destroys everything but the loop.
void Scene::leave() {
  subject_.reset();
  sibling_.reset();
  server_.reset();
  later_ = {};
  for (Connection& connection : connections_) {
    connection.detached = {};
    if (connection.far != nullptr) connection.far->socket.fd.reset();
  }
}

// ---- For actions ----

Connection* Scene::target() {
  Connection* connection = neighbour_;
  if (subject_ != nullptr && subject_->connection() != nullptr) connection = subject_->connection();
  if (connection == nullptr || connection->stream == nullptr) return nullptr;
  return connection;
}

Service* Scene::service() {
  if (subject_ != nullptr && subject_->service() != nullptr) return subject_->service();
  return server_.get();
}

void Scene::destroy_sibling() {
  sibling_destroyed_ = true;
  if (Connection* const connection = sibling_->connection()) connection->ends();
  sibling_->destroy();
}

void Scene::destroy_server() {
  if (subject_ != nullptr && subject_->service() != nullptr) return subject_->destroy_server();
  for (Connection& connection : connections_) {
    if (connection.side != nullptr) connection.ends();
  }
  server_.reset();
}

Callback<void()> Scene::on_drained() {
  return [this] { ++drained_; };
}

void Scene::report_slow() {
  for (Callback<void()>& wanted : slow_) {
    if (wanted) return std::exchange(wanted, {})();
  }
}

void Scene::post() {
  loop_.post([this] { ++posted_; });
}

// ---- Subjects ----

void Subject::called() { scene_.reach(role_); }
void Subject::replaced() const { scene_.replaced(); }

Callback<void()> Subject::acting() {
  return [this, witness = std::make_unique<int>(1)] {
    called();
    EXPECT_EQ(*witness, 1);
  };
}

Callback<void()> Subject::replacing() {
  return [this] { replaced(); };
}

}  // namespace reactor::adversity
