// SPDX-License-Identifier: MIT
// Master: a reload. This is the whole path of one, with the function and the file of each step. The
// files are in prefork/ and prefork/internal/, unless the name has another folder.
//
// clang-format off
//   MASTER
//    1  HUP comes in                             Master::handle_signal()        master.cc
//       the application reads its configuration  Master::reload()               here
//       the next generation is on trial          Crew::reload()                 crew_reload.cc
//    2  a slot is chosen for one worker of it    SlotPlan::successor_due()      slot_plan.cc
//       that worker is forked                    Crew::fork_worker()            crew.cc
//
//   NEW WORKER
//    3  the process begins                       Master::become_worker()        master.cc
//       it runs the application's function       Worker::execute()              worker.cc
//       which serves the slot's listeners        Worker::serve()                worker.cc
//       and takes connections from its mailbox   Siblings::serve()              siblings.cc
//       it reports that it is ready              WorkerControl::say_ready()     control.cc
//
//   MASTER
//    4  the report comes in                      Crew::read_control()           crew.cc
//       the next generation comes into force:    Crew::enact_trial()            crew_reload.cc
//         slots are added, connections steered   Master::enact()                here
//         all other workers are outdated         SlotPlan::adopt_trial()        slot_plan.cc
//    5  the new worker has the slot              Crew::became_ready()           crew.cc
//       the old one gets Message::Kind::retire   Crew::leave()                  crew.cc
//
//   OLD WORKER
//    6  the message comes in                     Worker::retire()               worker.cc
//       it accepts no more                       Siblings::hand_over()          siblings.cc
//       it offers each connection that is idle   ServerBase::hand_over()        net/hand_over.cc
//       each goes into the slot's mailbox        HandOverSender::send()         hand_over_sender.cc
//
//   NEW WORKER
//    7  it takes the connections out             MailReceiver::take_from()      mail_receiver.cc
//       and goes on serving them                 ServerBase::adopt_connection() net/hand_over.cc
//
//   OLD WORKER
//    8  all were taken: its loop stops           HandOverSender::look()         hand_over_sender.cc
//       half of the graceful timeout is over: it Worker::drain()                worker.cc
//         drains those that are left             HandOverSender::finish_here()  hand_over_sender.cc
//
//   MASTER
//    9  the old worker is reaped                 Crew::reap()                   crew.cc
//       the next outdated one is replaced, from  Crew::advance()                crew.cc
//         step 2 on; surplus workers retire
//   10  all are replaced: the service manager    Herald::look()                 herald.cc
//         hears that the reload is over
// clang-format on
//
// If the worker on trial dies (Crew::fail_trial()), or if enact() fails, the present generation
// stays in force: nothing that lasts has changed, so nothing is rolled back.
#include <algorithm>
#include <optional>
#include <string>
#include <utility>

#include "reactor/base/log.h"
#include "reactor/prefork/internal/master.h"

namespace reactor::prefork {

void Master::reload() {
  if (!options_.on_reload) {
    REACTOR_LOG(info, "reload: the workers are replaced");
    herald_.reload_begins();
    crew_.renew_all();
    return;
  }
  std::optional<Options::Reload> next = options_.on_reload();
  if (!next) {
    herald_.reload_refused(crew_, "the log says why");
    return;
  }
  if (next->plan.workers == 0) {
    refuse_reload("workers = 0 needs a restart");
    return;
  }
  next->plan.workers = std::min(next->plan.workers, kMostWorkers);
  if (const std::string why = why_no_room(next->plan.workers); !why.empty()) {
    refuse_reload(why);
    return;
  }
  REACTOR_LOG(info, "reload: the workers are replaced by " + std::to_string(next->plan.workers) +
                        " with the new configuration");
  herald_.reload_begins();
  crew_.reload(std::move(*next), [this](Crew::Generation& tried) { return enact(tried); });
}

// Makes the slots and the steering that the next generation needs. Steps that can fail come first.
// Returns the reason of a failure, or an empty string.
std::string Master::enact(Crew::Generation& next) {
  if (std::string why = make_room_for(next.plan.workers); !why.empty()) return why;
  steer(next.plan);
  if (next.on_adopted) next.on_adopted();
  return {};
}

void Master::refuse_reload(const std::string& why) {
  REACTOR_LOG(error, "reload refused, all stays as it is: " + why);
  herald_.reload_refused(crew_, why);
}

}  // namespace reactor::prefork
