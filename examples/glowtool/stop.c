/* What signals ask of a run. SIGINT (Ctrl-C), SIGTERM, SIGHUP (the terminal has gone) and SIGXCPU
 * (the limit of processor time is near) stop it after the step in progress; SIGUSR1 and SIGUSR2,
 * which batch systems send some time before they end a job, have it save and go on.
 * SPDX-License-Identifier: MIT */
#include "stop.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { STOPS = 4 };
static const int stops[STOPS] = {SIGINT, SIGTERM, SIGHUP, SIGXCPU};

static volatile sig_atomic_t wanted, save; /* wanted: number of the signal */
static struct timespec began;              /* when it came */
static bool training, silent;

static void tell(const char *text) {
  ssize_t written = write(STDERR_FILENO, text, strlen(text));
  (void)written;
}

/* Some signals come twice without anybody meaning that: timeout(1) sends SIGTERM to the program and
 * to its group, a shell that is closed SIGHUP as the terminal does, and the kernel SIGXCPU after
 * each further second. */
static bool is_meant(int number) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  int64_t nanoseconds =
      (int64_t)(now.tv_sec - began.tv_sec) * 1000000000 + (now.tv_nsec - began.tv_nsec);
  return (number == SIGINT || number == SIGTERM) && nanoseconds >= 1000000000;
}

static void on_stop(int number) {
  int error = errno;
  if (!wanted) {
    clock_gettime(CLOCK_MONOTONIC, &began);
    wanted = number;
    if (!silent)
      tell(training ? "\nglowtool: stopping after this step; Ctrl-C (again) quits without saving\n"
                    : "\nglowtool: stopping after this batch; Ctrl-C (again) quits at once\n");
  } else if (is_meant(number)) {
    (void)signal(number, SIG_DFL);
    raise(number); /* it is delivered when this handler returns */
  }
  errno = error;
}

static void on_save(int number) {
  (void)number;
  save = 1;
}

static void handle(int number, void (*handler)(int)) {
  struct sigaction action, before;
  if (sigaction(number, NULL, &before) != 0 || before.sa_handler == SIG_IGN)
    return;
  memset(&action, 0, sizeof action);
  sigemptyset(&action.sa_mask);
  action.sa_handler = handler;
  action.sa_flags = SA_RESTART;
  for (size_t i = 0; i < STOPS; i++) /* one at a time */
    sigaddset(&action.sa_mask, stops[i]);
  sigaction(number, &action, NULL);
}

static void handle_stops(void) {
  for (size_t i = 0; i < STOPS; i++)
    handle(stops[i], on_stop);
}

static void handle_saves(void (*handler)(int)) {
  handle(SIGUSR1, handler);
  handle(SIGUSR2, handler);
}

void stop_install(bool quiet) {
  training = true;
  silent = quiet;
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
  (void)signal(number, SIG_DFL);
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
