/* How training reports its progress: a line that renews itself on a terminal, plain lines
 * elsewhere, or JSON lines for programs, all with the same content; and the JSON lines in a log
 * file in any case. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_PROGRESS_H
#define GLOWTOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "json.h"

enum { PROGRESS_WINDOW = 50 }; /* steps that the running mean and the speed are taken over */

typedef struct progress {
  bool json, quiet, terminal;
  bool unheard;  /* lines for stdout could not be written, which was reported */
  bool mute;     /* nobody reads stdout any more */
  int64_t steps; /* the run ends at step `steps` */
  int64_t every; /* plain and JSON lines each so many steps */
  const char *log_path;
  int log;           /* descriptor, -1 until the first step is done */
  int64_t log_bytes; /* whole lines only */
  int64_t log_kept;  /* bytes of an earlier log to go on from, -1: begin afresh */
  char *waiting;     /* lines that wait for the log to be opened, or for room on the disk */
  size_t waiting_bytes;
  bool log_fails; /* lines could not be written, which was reported */
  bool begun;     /* a step was reported: an earlier run's log may be written over */
  double loss[PROGRESS_WINDOW], seconds[PROGRESS_WINDOW], accuracy[PROGRESS_WINDOW];
  int64_t images[PROGRESS_WINDOW];
  int64_t seen;      /* steps reported so far */
  int64_t restored;  /* of these, steps of an earlier process, whose times are not known */
  double last_line;  /* when the terminal's line was drawn, in seconds */
  json_writer event; /* in progress, into event_text */
  char *event_text;
  size_t event_bytes;
  int failed; /* exit code of the first failure to write, or 0 */
} progress;

/* One finished step. */
typedef struct progress_step {
  int64_t step, images;
  double loss, rate, gradient_norm; /* bits/dim of the batch */
  double class_loss, accuracy;      /* of the classifier; NaN where there is none */
  double drift;                     /* of reconstruction; 0 where nothing was reconstructed */
  double seconds;
  int32_t ranks; /* what follows is of several alone: see glow_step_report */
  double sum_seconds, wait_seconds, small_seconds;
  int64_t sum_bytes;
} progress_step;

/* What has been seen of the run. */
typedef struct progress_state {
  double bits_per_dim; /* running mean */
  double accuracy;     /* running mean over the steps of this process; NaN without a classifier */
  double images_per_second;
  double seconds_left;
} progress_state;

void progress_open(progress *p, const char *log_path, int64_t steps, int64_t every, bool json,
                   bool quiet);
/* Before anything is reported: goes on in the log after its first `kept` bytes. */
/* Before anything is reported: neither prints nor writes a log. */
void progress_mute(progress *p);
void progress_append(progress *p, int64_t kept);
/* The losses in the window, oldest first; and putting them back before the first step of a process
 * that goes on after `steps` steps, of which the window has the last. */
int64_t progress_window(const progress *p, double losses[PROGRESS_WINDOW]);
void progress_restore(progress *p, const double losses[PROGRESS_WINDOW], int64_t steps);
/* Writes the lines of the log that wait for that. */
void progress_flush(progress *p);
/* Cuts the log off after its first `kept` bytes: the steps reported there are made again. */
void progress_rewind(progress *p, int64_t kept);
/* Before progress_open: what is being read. */
__attribute__((format(printf, 3, 4))) void progress_loading(bool json, bool quiet, const char *text,
                                                            ...);
/* Reports one step. *state may be NULL. */
void progress_tell_step(progress *p, const progress_step *step, progress_state *state);
/* Any other event, for programs and the log: open, write its values, close. */
json_writer *progress_event_open(progress *p, const char *event);
void progress_event_close(progress *p);
/* ... and for people. */
__attribute__((format(printf, 2, 3))) void progress_tell(progress *p, const char *text, ...);
/* A line that a terminal shows until the next one; elsewhere only with `due`. */
__attribute__((format(printf, 3, 4))) void progress_passing(progress *p, bool due, const char *text,
                                                            ...);
/* Like progress_tell, but shown with --quiet too. */
__attribute__((format(printf, 2, 3))) void progress_tell_always(progress *p, const char *text, ...);
/* Returns the exit code: that of the first line that could not be written, or TOOL_FINE. */
int progress_close(progress *p);

double now_seconds(void); /* of a clock that never jumps */
/* "4:07" or "12:03:44". */
const char *duration(double seconds, char out[32]);

#endif
