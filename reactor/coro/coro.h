// SPDX-License-Identifier: MIT
// This header includes all public headers of the coroutine layer.
#pragma once

#include "reactor/coro/channel.h"
#include "reactor/coro/connect.h"
#include "reactor/coro/datagram.h"
#include "reactor/coro/event.h"
#include "reactor/coro/listener.h"
#include "reactor/coro/server.h"
#include "reactor/coro/sleep.h"
#include "reactor/coro/spawn.h"
#include "reactor/coro/stream.h"
#include "reactor/coro/task.h"
#include "reactor/coro/timeout.h"
#include "reactor/coro/wait.h"
#include "reactor/coro/when.h"
