/* What signals ask of a run. SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal has gone) and SIGXCPU
 * (the limit of processor time is near) stop it after the step in progress; SIGUSR1 and SIGUSR2,
 * which batch systems send some time before they end a job, have it save and go on.
 * SPDX-License-Identifier: MIT */
#include "stop.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t wanted, save; /* wanted: number of the signal */
static bool training;

static void tell(const char *text) {
  ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written;
}

/* SA_RESETHAND has restored the default action: the next signal ends the program at once. */
static void on_stop(int number) {
  wanted = number;
  tell(training ? "\nglowtool: stopping after this step; the same signal again (Ctrl-C) quits "
                  "without saving\n"
                : "\nglowtool: stopping after this batch; the same signal again (Ctrl-C) quits at "
                  "once\n");
}

static void on_save(int number) {
  (void)number;
  save = 1;
}

static void handle(int number, void (*handler)(int), int flags) {
  struct sigaction action, before;
  if (sigaction(number, NULL, &before) != 0 || before.sa_handler == SIG_IGN)
    return;
  memset(&action, 0, sizeof action);
  action.sa_handler = handler;
  action.sa_flags = flags | SA_RESTART;
  sigaction(number, &action, NULL);
}

static void handle_stops(void) {
  static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU};
  for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
    handle(signals[i], on_stop, (int)SA_RESETHAND);
}

static void handle_saves(void (*handler)(int)) {
  handle(SIGUSR1, handler, 0);
  handle(SIGUSR2, handler, 0);
}

void stop_install(void) {
  training = true;
  handle_stops();
}

void stop_install_writing(void) {
  handle_stops();
  handle_saves(SIG_IGN);
}

bool stop_wanted(void) {
  return wanted != 0;
}

void stop_end(void) {
  int number = wanted;
  if (!number)
    return;
  signal(number, SIG_DFL);
  raise(number);
}

void save_install(void) {
  handle_saves(on_save);
}

bool save_wanted(void) {
  bool answer = save != 0;
  save = 0;
  return answer;
}
