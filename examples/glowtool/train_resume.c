/* Going on with a run from its checkpoint. Options come from the checkpoint; one that is typed as
 * well must say the same, but for those that leave the steps as they are and a few that may change
 * on the way. SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "memory.h"
#include "train.h"
#include "train_notes.h"

/* Options of one process alone, which no checkpoint holds. */
static const char *const of_process[] = {
    "resume",    "out",         "threads",    "kernels", "products",     "json", "quiet",
    "overwrite", "data-memory", "max-memory", "ranks",   "rank-timeout", NULL};
/* Typed values take effect without a message. (Data are compared with those of the checkpoint.) */
static const char *const of_results[] = {
    "data",        "max-pixels",       "test",    "labels",         "test-labels",
    "save-every",  "checkpoint-every", "keep",    "no-checkpoints", "test-every",
    "test-images", "sample-every",     "samples", "temperature",    "report-every",
    NULL};
/* Typed values take effect from here on, with a message. */
static const char *const may_change[] = {
    "steps", "batch", "lr", "schedule", "warmup", "sums", "final", "on-divergence", NULL};

static bool among(const char *const *names, const char *name) {
  for (; *names; names++)
    if (strcmp(*names, name) == 0)
      return true;
  return false;
}

bool train_is_of_process(const char *option) {
  return among(of_process, option);
}

/* ---- options --------------------------------------------------------------------------------- */

/* "a\nb\n" for a person. */
static const char *one_line(char *text) {
  size_t length = strlen(text);
  if (length && text[length - 1] == '\n')
    text[length - 1] = '\0';
  for (char *c = text; *c; c++)
    if (*c == '\n')
      *c = ' ';
  return text;
}

/* An option that was typed, against the checkpoint's value, which may be NULL. */
static int compare(train_run *run, const option_row *row, const char *kept) {
  bool failed;
  char *typed = options_text(&run->options, row, &failed);
  int code = TOOL_FINE;
  if (failed) {
    complain("out of memory");
    code = TOOL_FAILED;
  } else if (!typed || !kept || strcmp(typed, kept) != 0) {
    char *was = strdup(kept ? kept : "nothing");
    const char *now = typed ? one_line(typed) : "nothing";
    if (!among(may_change, row->name))
      code = complain("--%s %s contradicts the checkpoint, which has %s", row->name, now,
                      was ? one_line(was) : "another");
    else if (!run->settings.quiet)
      mention("from here on --%s is %s, where the checkpoint has %s", row->name, now,
              was ? one_line(was) : "another");
    free(was);
  }
  free(typed);
  return code;
}

static int take_option(train_run *run, const option_row *row) {
  char key[128];
  snprintf(key, sizeof key, NOTE_OPTION "%s", row->name);
  const char *kept = glow_trainer_note(run->trainer, key);
  if (train_is_of_process(row->name))
    return TOOL_FINE;
  if (!options_given(&run->options, row->name))
    return kept ? options_restore(&run->options, row, kept) : TOOL_FINE;
  return among(of_results, row->name) ? TOOL_FINE : compare(run, row, kept);
}

static int take_options(train_run *run) {
  for (const option_row *row = run->options.table->rows; row->kind != OPTION_END; row++) {
    int code = row->name ? take_option(run, row) : TOOL_FINE;
    if (code != TOOL_FINE)
      return code;
  }
  return train_check(&run->options, &run->settings);
}

/* ---- the checkpoint -------------------------------------------------------------------------- */

static bool is_folder(const char *path) {
  struct stat about;
  return stat(path, &about) == 0 && S_ISDIR(about.st_mode);
}

int train_choose_out(train_run *run) {
  train_settings *s = &run->settings;
  if (options_given(&run->options, "out"))
    return TOOL_FINE;
  char folder[PATH_MAX];
  if (strlen(s->resume) >= sizeof folder)
    return complain("%s: the name is too long", s->resume);
  memcpy(folder, s->resume, strlen(s->resume) + 1);
  if (!is_folder(s->resume)) {
    char *slash = strrchr(folder, '/');
    snprintf(slash ? slash + (slash == folder) : folder, 2, "%s", slash ? "" : ".");
  }
  return options_set_copy(&run->options, "out", folder);
}

static int open_checkpoint(train_run *run) {
  const char *path = run->settings.resume;
  glow_status status = GLOW_OK;
  glow_input input = GLOW_INPUT_INIT;
  glow_limits limits = GLOW_LIMITS_INIT;
  size_t length = strlen(path);
  limits.workspace_bytes = limits.model_bytes = memory_for_passes();
  if (length >= sizeof run->resumed_from)
    return complain("%s: the name is too long", path);
  memcpy(run->resumed_from, path, length + 1);
  if (is_folder(path))
    status = glow_checkpoint_newest(run->context, path, &limits, run->resumed_from,
                                    sizeof run->resumed_from);
  input.path = run->resumed_from;
  input.limits = &limits;
  if (status == GLOW_OK)
    status = glow_checkpoint_load_input(run->context, &input, &run->model, &run->trainer);
  if (status != GLOW_OK)
    return complain_status(status, "--resume");
  if (!glow_trainer_note(run->trainer, NOTE_EPOCH))
    return complain("%s was not written by glowtool: it has no note of a place in the data",
                    run->resumed_from);
  run->resumed = glow_trainer_step_count(run->trainer);
  return TOOL_FINE;
}

static int set_schedule(train_run *run) {
  glow_schedule schedule = train_schedule(&run->settings);
  glow_status status = glow_trainer_set_schedule(run->trainer, &schedule);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "--resume");
}

int train_resume(train_run *run) {
  const train_settings *s = &run->settings;
  int code = open_context(s->threads, s->kernels, s->products, &run->context);
  if (code == TOOL_FINE)
    code = open_checkpoint(run);
  if (code == TOOL_FINE)
    code = take_options(run);
  if (code == TOOL_FINE)
    code = set_schedule(run);
  if (code != TOOL_FINE)
    return code;
  if (s->steps <= run->resumed)
    return complain("%s is after step %lld of %lld: there is nothing left to do; a higher --steps "
                    "goes on",
                    run->resumed_from, (long long)run->resumed, (long long)s->steps);
  const char *kernels = glow_trainer_note(run->trainer, NOTE_KERNELS);
  if (kernels && strcmp(kernels, glow_context_kernels(run->context)) != 0)
    mention("the checkpoint was made with %s kernels, these are %s: results will be rounded "
            "differently",
            kernels, glow_context_kernels(run->context));
  const char *products = glow_trainer_note(run->trainer, NOTE_PRODUCTS);
  if (!products)
    products = "float32"; /* written by a version that knew nothing else */
  if (strcmp(products, products_name(run->context)) != 0)
    mention("the checkpoint was made with products in %s, these are in %s: --products %s goes on "
            "as before",
            products, products_name(run->context), products);
  return TOOL_FINE;
}

/* ---- the data -------------------------------------------------------------------------------- */

int train_check_shape(const train_run *run, const char *whose) {
  const sample_set *d = &run->data;
  glow_shape shape;
  glow_status status = glow_model_input_shape(run->model, &shape);
  if (status != GLOW_OK)
    return complain_status(status, NULL);
  if (d->height == shape.height && d->width == shape.width && d->channels == shape.channels)
    return TOOL_FINE;
  return complain("images are %lld x %lld x %lld, but %s model wants %lld x %lld x %lld",
                  (long long)d->height, (long long)d->width, (long long)d->channels, whose,
                  (long long)shape.height, (long long)shape.width, (long long)shape.channels);
}

/* A whole number of the given base that is all of the text. */
static bool parse(const char *text, int base, uint64_t *out) {
  char *end = NULL;
  *out = text ? strtoull(text, &end, base) : 0;
  return text && *text && !*end;
}

int train_restore_place(train_run *run) {
  uint64_t epoch, next;
  if (!parse(glow_trainer_note(run->trainer, NOTE_EPOCH), 10, &epoch) ||
      !parse(glow_trainer_note(run->trainer, NOTE_NEXT), 10, &next) || next > INT32_MAX)
    return complain("%s: its notes of the place in the data are not numbers", run->resumed_from);
  return feed_go(&run->feed, (feed_place){epoch, (int64_t)next});
}

int train_resume_data(train_run *run) {
  uint64_t hash;
  int code = train_check_shape(run, "the checkpoint's");
  if (code != TOOL_FINE)
    return code;
  if (!parse(glow_trainer_note(run->trainer, NOTE_DATA), 16, &hash))
    return complain("%s: its note of the data is not a number", run->resumed_from);
  if (hash != run->data_hash)
    return complain("these are not the images that the run of %s learns from", run->resumed_from);
  return train_restore_place(run);
}

/* ---- the curve ------------------------------------------------------------------------------- */

int train_restore_losses(train_run *run) {
  double losses[PROGRESS_WINDOW];
  const char *at = glow_trainer_note(run->trainer, NOTE_LOSSES);
  int64_t count = run->resumed < PROGRESS_WINDOW ? run->resumed : PROGRESS_WINDOW;
  for (int64_t i = 0; i < count; i++) {
    char *end = NULL;
    losses[i] = at ? strtod(at, &end) : NAN;
    if (!isfinite(losses[i]) || end == at)
      return complain("%s: its notes lack the last losses", run->resumed_from);
    at = end;
  }
  progress_restore(&run->progress, losses, run->resumed);
  return TOOL_FINE;
}

/* The log beside the checkpoint has the earlier curves; only a log in the folder of results is
 * continued. */
int train_resume_log(train_run *run) {
  char path[PATH_MAX];
  struct stat old, new;
  snprintf(path, sizeof path, "%s", run->resumed_from);
  char *slash = strrchr(path, '/');
  char *name = slash ? slash + 1 : path;
  snprintf(name, sizeof path - (size_t)(name - path), "log.jsonl");
  int64_t kept = train_read_log(path, run->resumed, &run->train, &run->tests, &run->average_tests);
  if (kept && stat(path, &old) == 0 && stat(run->log_path, &new) == 0 &&
      old.st_dev == new.st_dev &&old.st_ino == new.st_ino)
    progress_append(&run->progress, kept);
  return train_restore_losses(run);
}
