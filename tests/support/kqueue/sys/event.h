// SPDX-License-Identifier: MIT
// <sys/event.h> of the model of kqueue(2), for systems that have none. The names and meanings are
// those of the manual page, and the numbers are those of FreeBSD.
#pragma once
#pragma GCC system_header  // as for the system header that this file replaces

#include <sys/types.h>
#include <time.h>

#include <cstdint>

struct kevent {
  std::uintptr_t ident;
  short filter;
  unsigned short flags;
  unsigned int fflags;
  std::intptr_t data;
  void* udata;
};

#define EV_SET(event, ident_, filter_, flags_, fflags_, data_, udata_)                  \
  (*(event) = {static_cast<std::uintptr_t>(ident_), static_cast<short>(filter_),        \
               static_cast<unsigned short>(flags_), static_cast<unsigned int>(fflags_), \
               static_cast<std::intptr_t>(data_), (udata_)})

#define EVFILT_READ (-1)
#define EVFILT_WRITE (-2)
#define EVFILT_PROC (-5)

// Actions.
#define EV_ADD 0x0001
#define EV_DELETE 0x0002
#define EV_ENABLE 0x0004
#define EV_DISABLE 0x0008

// Flags.
#define EV_ONESHOT 0x0010
#define EV_CLEAR 0x0020
#define EV_RECEIPT 0x0040
#define EV_DISPATCH 0x0080

// Flags of returned events.
#define EV_EOF 0x8000
#define EV_ERROR 0x4000

// EVFILT_PROC.
#define NOTE_EXIT 0x80000000U

extern "C" {
int kqueue(void);
int kevent(int kq, const struct kevent* changelist, int nchanges, struct kevent* eventlist,
           int nevents, const struct timespec* timeout);
}
