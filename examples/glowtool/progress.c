/* Progress of training, for people, programs and the log. SPDX-License-Identifier: MIT */
#include "progress.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

double now_seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

const char *duration(double seconds, char out[32]) {
  if (!(seconds >= 0.0 && seconds < 1e9)) {
    snprintf(out, 32, "-");
    return out;
  }
  long long s = (long long)(seconds + 0.5);
  if (s < 3600)
    snprintf(out, 32, "%lld:%02lld", s / 60, s % 60);
  else
    snprintf(out, 32, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  return out;
}

/* May lines renew themselves, which takes escape codes? NO_COLOR: https://no-color.org. */
static bool is_terminal(void) {
  const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
  return isatty(STDOUT_FILENO) && term && *term && strcmp(term, "dumb") != 0 && !(plain && *plain);
}

void progress_open(progress *p, const char *log_path, int64_t steps, int64_t every, bool json,
                   bool quiet) {
  memset(p, 0, sizeof *p);
  p->json = json;
  p->quiet = quiet;
  p->terminal = !json && !quiet && is_terminal();
  p->steps = steps;
  p->every = every;
  p->log_path = log_path;
  p->log = -1;
  p->log_kept = -1;
  p->last_line = -1.0;
}

void progress_mute(progress *p) {
  p->mute = p->quiet = true;
  p->json = p->terminal = false;
  p->log_path = NULL;
}

void progress_append(progress *p, int64_t kept) {
  p->log_kept = kept;
}

/* ---- the log --------------------------------------------------------------------------------- */

static void fail(progress *p, int code) {
  if (!p->failed)
    p->failed = code;
}

enum { MOST_WAITING = 1 << 26 }; /* bytes: a day of steps */

/* Appends whole lines, or nothing. */
static bool log_append(progress *p, const char *text, size_t bytes) {
  size_t done = 0;
  while (done < bytes) {
    ssize_t written = write(p->log, text + done, bytes - done);
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      break;
    done += (size_t)written;
  }
  if (done == bytes) {
    p->log_bytes += (int64_t)bytes;
    return true;
  }
  int error = errno;
  if (ftruncate(p->log, p->log_bytes) != 0 || lseek(p->log, p->log_bytes, SEEK_SET) < 0)
    mention("cannot shorten %s: %s", p->log_path, strerror(errno));
  errno = error;
  return false;
}

/* Cuts off what the log has of steps that are going to be made again. */
static bool log_cut(progress *p, int64_t kept) {
  if (kept < 0)
    return true;
  p->log_bytes = kept;
  return ftruncate(p->log, kept) == 0 && lseek(p->log, kept, SEEK_SET) >= 0;
}

static bool log_open(progress *p) {
  int afresh = p->log_kept < 0 ? O_TRUNC : 0;
  p->log = open(p->log_path, O_WRONLY | O_CREAT | O_CLOEXEC | afresh, 0666);
  if (p->log >= 0 && log_cut(p, p->log_kept))
    return true;
  int error = errno;
  if (p->log >= 0)
    close(p->log);
  p->log = -1;
  errno = error;
  return false;
}

/* An earlier run's log stays until this one has made a step. A disk that is full need not stay so:
 * lines wait for room, and the run goes on. */
void progress_flush(progress *p) {
  if (!p->waiting_bytes || p->failed || !p->begun)
    return;
  if ((p->log >= 0 || log_open(p)) && log_append(p, p->waiting, p->waiting_bytes)) {
    p->waiting_bytes = 0;
    if (p->log_fails)
      mention("%s is written again", p->log_path);
    p->log_fails = false;
    return;
  }
  if (!p->log_fails)
    mention("warning: cannot write %s: %s; its lines wait until it can be written", p->log_path,
            strerror(errno));
  p->log_fails = true;
  if (p->waiting_bytes > MOST_WAITING)
    fail(p, complain("%s still cannot be written", p->log_path));
}

static void log_line(progress *p, const char *text, size_t bytes) {
  if (p->failed || !p->log_path)
    return;
  char *waiting = realloc(p->waiting, p->waiting_bytes + bytes);
  if (!waiting) {
    complain("out of memory for the log");
    fail(p, TOOL_FAILED);
    return;
  }
  p->waiting = waiting;
  memcpy(p->waiting + p->waiting_bytes, text, bytes);
  p->waiting_bytes += bytes;
  progress_flush(p);
}

void progress_rewind(progress *p, int64_t kept) {
  p->log_kept = kept;
  if (p->log >= 0 && !log_cut(p, kept))
    fail(p, complain("cannot shorten %s: %s", p->log_path, strerror(errno)));
}

/* ---- stdout ---------------------------------------------------------------------------------- */

/* A reader that went away, or a full disk behind a redirection. The log has the same lines, so the
 * run goes on. */
static void check_stdout(progress *p) {
  if (fflush(stdout) == 0 && !ferror(stdout))
    return;
  int error = errno;
  if (!p->unheard)
    mention("warning: cannot write to the standard output: %s; training goes on, and %s has the "
            "same lines",
            strerror(error), p->log_path);
  p->unheard = true;
  if (error == EPIPE)
    p->mute = true;
  clearerr(stdout);
}

static int terminal_columns(void) {
  struct winsize size;
  if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    return size.ws_col;
  return 80;
}

static void show(progress *p, const char *text, bool passing) {
  if (p->mute)
    return;
  if (!p->terminal)
    printf("%s\n", text);
  else if (passing)
    printf("\r%.*s\033[K", terminal_columns() - 1, text);
  else
    printf("\r%s\033[K\n", text);
  check_stdout(p);
}

static void tell(progress *p, const char *format, va_list arguments) {
  char text[1024], shown[2048];
  vsnprintf(text, sizeof text, format, arguments);
  show(p, visible(text, shown, sizeof shown), false);
}

void progress_tell(progress *p, const char *text, ...) {
  if (p->json || p->quiet)
    return;
  va_list arguments;
  va_start(arguments, text);
  tell(p, text, arguments);
  va_end(arguments);
}

void progress_passing(progress *p, bool due, const char *format, ...) {
  char text[1024], shown[2048];
  double now = now_seconds();
  va_list arguments;
  if (p->json || p->quiet || (!due && (!p->terminal || now - p->last_line < 0.1)))
    return;
  p->last_line = now;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  show(p, visible(text, shown, sizeof shown), !due);
}

void progress_tell_always(progress *p, const char *text, ...) {
  if (p->json)
    return;
  va_list arguments;
  va_start(arguments, text);
  tell(p, text, arguments);
  va_end(arguments);
}

void progress_loading(bool json, bool quiet, const char *format, ...) {
  char text[1024], shown[2048];
  va_list arguments;
  if (json || quiet)
    return;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  printf("%s\n", visible(text, shown, sizeof shown));
  fflush(stdout);
}

/* ---- events ---------------------------------------------------------------------------------- */

json_writer *progress_event_open(progress *p, const char *event) {
  p->event = (json_writer){open_memstream(&p->event_text, &p->event_bytes), false};
  if (!p->event.file) {
    complain("out of memory for the log");
    fail(p, TOOL_FAILED);
    p->event.file = fopen("/dev/null", "w"); /* the caller writes on regardless */
  }
  put_open(&p->event, NULL, '{');
  put_text(&p->event, "event", event);
  return &p->event;
}

void progress_event_close(progress *p) {
  put_close(&p->event, '}');
  putc('\n', p->event.file);
  fclose(p->event.file);
  if (p->event_text) {
    if (p->json && !p->mute) {
      (void)fwrite(p->event_text, 1, p->event_bytes, stdout);
      check_stdout(p);
    }
    log_line(p, p->event_text, p->event_bytes);
  }
  free(p->event_text);
  p->event_text = NULL;
}

/* ---- steps ----------------------------------------------------------------------------------- */

/* Over the steps of the window that have one. */
static double mean_accuracy(const progress *p, int64_t count) {
  double sum = 0.0;
  int64_t known = 0;
  for (int64_t i = 0; i < count; i++)
    if (isfinite(p->accuracy[i])) {
      sum += p->accuracy[i];
      known++;
    }
  return known ? sum / (double)known : (double)NAN;
}

static void observe(progress *p, const progress_step *step, progress_state *out) {
  int64_t slot = p->seen++ % PROGRESS_WINDOW;
  int64_t count = p->seen < PROGRESS_WINDOW ? p->seen : PROGRESS_WINDOW, images = 0;
  int64_t timed = p->seen - p->restored < count ? p->seen - p->restored : count;
  double loss = 0.0, seconds = 0.0;
  p->loss[slot] = step->loss;
  p->seconds[slot] = step->seconds;
  p->images[slot] = step->images;
  p->accuracy[slot] = step->accuracy;
  for (int64_t i = 0; i < count; i++) {
    loss += p->loss[i];
    seconds += p->seconds[i];
    images += p->images[i];
  }
  out->bits_per_dim = loss / (double)count;
  out->accuracy = mean_accuracy(p, count);
  out->images_per_second = seconds > 0.0 ? (double)images / seconds : 0.0;
  out->seconds_left = seconds / (double)timed * (double)(p->steps - step->step);
}

int64_t progress_window(const progress *p, double losses[PROGRESS_WINDOW]) {
  int64_t count = p->seen < PROGRESS_WINDOW ? p->seen : PROGRESS_WINDOW;
  for (int64_t i = 0; i < count; i++)
    losses[i] = p->loss[(p->seen - count + i) % PROGRESS_WINDOW];
  return count;
}

/* Each into its own slot: sums are then added in the same order as without the break. */
void progress_restore(progress *p, const double losses[PROGRESS_WINDOW], int64_t steps) {
  int64_t count = steps < PROGRESS_WINDOW ? steps : PROGRESS_WINDOW;
  for (int64_t i = 0; i < count; i++) {
    p->loss[(steps - count + i) % PROGRESS_WINDOW] = losses[i];
    p->accuracy[(steps - count + i) % PROGRESS_WINDOW] = (double)NAN;
  }
  p->seen = p->restored = steps;
}

static void step_event(progress *p, const progress_step *step, const progress_state *state) {
  json_writer *json = progress_event_open(p, "step");
  put_int(json, "step", step->step);
  put_int(json, "steps", p->steps);
  put_real(json, "train", state->bits_per_dim);
  put_real(json, "batch", step->loss);
  if (isfinite(step->accuracy)) {
    put_real(json, "class_loss", step->class_loss);
    put_real(json, "accuracy", step->accuracy);
  }
  put_real(json, "rate", step->rate);
  put_real(json, "gradient_norm", step->gradient_norm);
  if (step->drift > 0)
    put_real(json, "drift", step->drift);
  if (step->ranks > 1) {
    put_real(json, "seconds", step->seconds);
    put_real(json, "sum_seconds", step->sum_seconds);
    put_real(json, "wait_seconds", step->wait_seconds);
    put_real(json, "small_seconds", step->small_seconds);
    put_int(json, "sum_bytes", step->sum_bytes);
  }
  put_real(json, "images_per_second", state->images_per_second);
  put_real(json, "seconds_left", state->seconds_left);
  progress_event_close(p);
}

/* How long the step took, what it waited for the sums of gradients, and how much of their time was
 * hidden behind the backward pass. */
static void ranks_text(const progress_step *step, char *out, size_t size) {
  double hidden = step->sum_seconds - step->wait_seconds;
  if (step->ranks > 1)
    snprintf(out, size, "  step %.3g s: sums %.3g s hidden, %.3g s waited, other ranks %.3g s",
             step->seconds, hidden > 0.0 ? hidden : 0.0, step->wait_seconds, step->small_seconds);
}

static void step_line(progress *p, const progress_step *step, const progress_state *state) {
  char text[448], left[32], right[32] = "", several[128] = "";
  double speed = state->images_per_second;
  int digits = speed < 10.0 ? 2 : speed < 100.0 ? 1 : 0;
  /* What matters most comes first: a narrow terminal shows the beginning. */
  if (isfinite(state->accuracy))
    snprintf(right, sizeof right, "  accuracy %.3f", state->accuracy);
  ranks_text(step, several, sizeof several);
  snprintf(text, sizeof text,
           "step %lld/%lld  %.4f bits/dim%s  %.*f images/s  %s left  batch %.4f  rate %.3g  "
           "gradient %.3g%s",
           (long long)step->step, (long long)p->steps, state->bits_per_dim, right, digits, speed,
           duration(state->seconds_left, left), step->loss, step->rate, step->gradient_norm,
           several);
  show(p, text, p->terminal);
}

void progress_tell_step(progress *p, const progress_step *step, progress_state *state) {
  progress_state seen;
  observe(p, step, &seen);
  if (state)
    *state = seen;
  bool due = step->step == 1 || step->step % p->every == 0 || step->step == p->steps;
  p->begun = true;
  progress_flush(p);
  if (due)
    step_event(p, step, &seen);
  double now = now_seconds();
  if (p->json || p->quiet)
    return;
  if (p->terminal ? now - p->last_line > 0.1 || due : due) {
    step_line(p, step, &seen);
    p->last_line = now;
  }
}

int progress_close(progress *p) {
  progress_flush(p);
  if (p->log_fails)
    fail(p, complain("cannot write %s: its last lines are lost", p->log_path));
  if (p->log >= 0 && close(p->log) != 0)
    fail(p, complain("cannot write %s: %s", p->log_path, strerror(errno)));
  p->log = -1;
  free(p->waiting);
  p->waiting = NULL;
  if (p->unheard)
    fail(p, complain("lines may be missing from the standard output"));
  return p->failed;
}
