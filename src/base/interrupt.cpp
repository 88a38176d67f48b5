#include "base/interrupt.h"

#include <unistd.h>

#include <csignal>

#include "base/error.h"

namespace fettle {
namespace {

volatile std::sig_atomic_t flag = 0;

void on_signal(int signal) {
  if (flag != 0) _exit(130);
  flag = signal;
}

}  // namespace

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() { return flag != 0; }

bool take_sigint() {
  if (flag != SIGINT) return false;
  flag = 0;
  return true;
}

void throw_if_interrupted() {
  if (interrupted()) throw Error(Error::Kind::interrupted, "interrupted");
}

}  // namespace fettle
