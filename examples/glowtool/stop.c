/* What signals ask of a run. SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal has gone) and SIGXCPU
 * (the limit of processor time is near) stop it after the step in progress; SIGUSR1, which batch
 * systems can be told to send before they end a job, has it save and go on.
 * SPDX-License-Identifier: MIT */
#include "stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t wanted, save;

static void tell(const char *text) {
  ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written;
}

/* SA_RESETHAND has restored the default action: the next signal ends the program at once. */
static void on_stop(int number) {
  (void)number;
  wanted = 1;
  tell("\nglowtool: stopping after this step; the same signal again (Ctrl-C) quits without "
       "saving\n");
}

static void on_save(int number) {
  (void)number;
  save = 1;
}

static void handle(int number, void (*handler)(int), int flags) {
  struct sigaction action;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags | SA_RESTART;
  sigaction(number, &action, NULL);
}

void save_install(void) {
  handle(SIGUSR1, on_save, 0);
}

void stop_install(void) {
  static const int signals[] = {SIGINT, SIGTERM, SIGXCPU};
  struct sigaction before;
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    handle(signals[i], on_stop, (int)SA_RESETHAND);
  if (sigaction(SIGHUP, NULL, &before) == 0 && before.sa_handler != SIG_IGN) /* not under nohup */
    handle(SIGHUP, on_stop, (int)SA_RESETHAND);
}

bool stop_wanted(void) {
  return wanted != 0;
}

bool save_wanted(void) {
  bool answer = save != 0;
  save = 0;
  return answer;
}
