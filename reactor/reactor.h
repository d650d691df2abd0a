// SPDX-License-Identifier: MIT
// The public headers in one, but for coro/, which wants a compiler with coroutines.
#pragma once

#include "reactor/base/callback.h"
#include "reactor/base/clock.h"
#include "reactor/base/error.h"
#include "reactor/base/log.h"
#include "reactor/base/result.h"
#include "reactor/base/stats.h"
#include "reactor/base/unique_fd.h"
#include "reactor/http/access_log.h"
#include "reactor/http/event_stream.h"
#include "reactor/http/server.h"
#include "reactor/loop/loop.h"
#include "reactor/net/address.h"
#include "reactor/net/listener.h"
#include "reactor/net/network.h"
#include "reactor/net/proxy.h"
#include "reactor/net/server.h"
#include "reactor/net/socket.h"
#include "reactor/net/stream.h"
#include "reactor/prefork/prefork.h"
