// SPDX-License-Identifier: MIT
#include "reactor/prefork/internal/system/signal_pipe.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <set>

#include "tests/support/fork.h"

namespace reactor::prefork {
namespace {

void do_nothing(int) {}

struct sigaction disposition_of(int number) {
  struct sigaction action {};
  ::sigaction(number, nullptr, &action);
  return action;
}

TEST(SignalPipeFork, GivesTheNumbers) {
  EXPECT_EQ(in_child([] {
              SignalPipe pipe;
              ASSERT_FALSE(pipe.open());
              EXPECT_EQ(pipe.next(), 0);
              const std::set<int> sent = {SIGHUP, SIGTERM, SIGINT, SIGQUIT, SIGUSR1, SIGCHLD};
              for (const int number : sent) ::raise(number);
              std::set<int> got;
              while (const int number = pipe.next()) got.insert(number);
              EXPECT_EQ(got, sent);
            }),
            0);
}

TEST(SignalPipeFork, RestoresWhatWasThere) {
  EXPECT_EQ(in_child([] {
              ::signal(SIGTERM, &do_nothing);
              ::signal(SIGHUP, SIG_IGN);
              ::signal(SIGINT, SIG_DFL);  // a shell may ignore SIGINT in background processes
              {
                SignalPipe pipe;
                ASSERT_FALSE(pipe.open());
                EXPECT_NE(disposition_of(SIGTERM).sa_handler, &do_nothing);
              }
              EXPECT_EQ(disposition_of(SIGTERM).sa_handler, &do_nothing);
              EXPECT_EQ(disposition_of(SIGHUP).sa_handler, SIG_IGN);
              EXPECT_EQ(disposition_of(SIGINT).sa_handler, SIG_DFL);
            }),
            0);
}

TEST(SignalPipeFork, HearsWhatWasBlocked) {
  EXPECT_EQ(in_child([] {
              sigset_t term;
              sigemptyset(&term);
              sigaddset(&term, SIGTERM);
              ::sigprocmask(SIG_BLOCK, &term, nullptr);
              ::raise(SIGTERM);
              SignalPipe pipe;
              ASSERT_FALSE(pipe.open());
              EXPECT_EQ(pipe.next(), SIGTERM);
            }),
            0);
}

// A flood of one signal must not keep the master from hearing another one.
TEST(SignalPipeFork, AFullPipeLosesNoSignal) {
  EXPECT_EQ(in_child([] {
              SignalPipe pipe;
              ASSERT_FALSE(pipe.open());
              for (int i = 0; i < 70'000; ++i) ::raise(SIGUSR1);  // a pipe has room for fewer bytes
              ::raise(SIGHUP);
              ::raise(SIGTERM);
              std::set<int> got;
              while (const int number = pipe.next()) got.insert(number);
              EXPECT_EQ(got, (std::set<int>{SIGUSR1, SIGHUP, SIGTERM}));
            }),
            0);
}

TEST(SignalPipeFork, WhatWasBlockedWaitsAgainAtTheEnd) {
  EXPECT_EQ(in_child([] {
              SignalPipe::block();
              {
                SignalPipe pipe;
                ASSERT_FALSE(pipe.open());
                ::raise(SIGTERM);
                EXPECT_EQ(pipe.next(), SIGTERM);
              }
              ::raise(SIGTERM);  // unblocked, it would end this process
              sigset_t pending;
              ::sigpending(&pending);
              EXPECT_EQ(sigismember(&pending, SIGTERM), 1);
            }),
            0);
}

TEST(SignalPipeFork, ABlockKeepsSignalsForLater) {
  EXPECT_EQ(in_child([] {
              SignalPipe pipe;
              ASSERT_FALSE(pipe.open());
              SignalBlock blocked;
              ::raise(SIGUSR1);
              EXPECT_EQ(pipe.next(), 0);
              blocked.lift();
              EXPECT_EQ(pipe.next(), SIGUSR1);
            }),
            0);
}

// If a worker kept the master's handler, a signal to the worker would be written to the master's
// pipe.
TEST(SignalPipeFork, AWorkerLeavesTheMastersPipeAlone) {
  EXPECT_EQ(in_child([] {
              SignalPipe pipe;
              ASSERT_FALSE(pipe.open());
              const pid_t worker = spawn_child([&pipe] {
                pipe.abandon_in_worker();
                for (const int number : {SIGINT, SIGHUP, SIGUSR2, SIGTTIN, SIGTTOU})
                  ::raise(number);
                ::raise(SIGTERM);
                return 1;  // not reached
              });
              EXPECT_EQ(wait_for_child(worker), 128 + SIGTERM);
              int number = pipe.next();
              if (number == SIGCHLD) number = pipe.next();
              EXPECT_EQ(number, 0);
            }),
            0);
}

}  // namespace
}  // namespace reactor::prefork
