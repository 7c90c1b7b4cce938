/* Ctrl-C: finish the step in progress, save, and leave. SPDX-License-Identifier: MIT */
#include "tool.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t wanted;

/* SA_RESETHAND has restored the default action: the next signal ends the program at once. */
static void on_signal(int number) {
  static const char text[] =
      "\nglowtool: stopping after this step; press Ctrl-C again to quit without saving\n";
  (void)number;
  wanted = 1;
  ssize_t written = write(STDERR_FILENO, text, sizeof text - 1);
  (void)written;
}

void stop_install(void) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = on_signal;
  action.sa_flags = (int)SA_RESETHAND | SA_RESTART;
  sigaction(SIGINT, &action, NULL);
  sigaction(SIGTERM, &action, NULL);
}

bool stop_wanted(void) {
  return wanted != 0;
}
