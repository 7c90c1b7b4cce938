/* Checkpoints of a training run. The library keeps the trainer; the notes keep what this program
 * needs besides: every option of the table, the place in the data, a number by which other data are
 * recognised, and the losses that the running mean is taken over. SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "train.h"
#include "train_notes.h"

/* ---- notes ----------------------------------------------------------------------------------- */

enum { MOST_NOTES = OPTIONS_MAX + 16 };

typedef struct notes {
  char *items[2 * MOST_NOTES]; /* key, value, ... */
  int64_t pairs;
  bool failed;
} notes;

/* Takes the value over. */
static void note(notes *n, const char *prefix, const char *key, char *value) {
  char *name = malloc(strlen(prefix) + strlen(key) + 1);
  if (!name || !value || n->pairs == MOST_NOTES) {
    n->failed = true;
    free(name);
    free(value);
    return;
  }
  strcpy(name, prefix);
  strcat(name, key);
  n->items[2 * n->pairs] = name;
  n->items[2 * n->pairs++ + 1] = value;
}

__attribute__((format(printf, 3, 4))) static void note_text(notes *n, const char *key,
                                                            const char *format, ...) {
  va_list arguments;
  char *value = NULL;
  va_start(arguments, format);
  if (vasprintf(&value, format, arguments) < 0)
    value = NULL;
  va_end(arguments);
  note(n, "", key, value);
}

static void note_options(notes *n, const option_state *state) {
  for (const option_row *row = state->table->rows; row->kind != OPTION_END; row++) {
    if (!row->name || train_is_of_process(row->name))
      continue;
    bool failed;
    char *value = options_text(state, row, &failed);
    n->failed |= failed;
    if (value)
      note(n, NOTE_OPTION, row->name, value);
  }
}

static void note_losses(notes *n, const progress *p) {
  double losses[PROGRESS_WINDOW];
  int64_t count = progress_window(p, losses);
  char *text = NULL;
  size_t bytes;
  FILE *file = open_memstream(&text, &bytes);
  if (!file) {
    n->failed = true;
    return;
  }
  for (int64_t i = 0; i < count; i++)
    fprintf(file, "%.17g ", losses[i]);
  n->failed |= fclose(file) != 0;
  note(n, "", NOTE_LOSSES, text);
}

static void take_notes(const train_run *run, notes *n) {
  memset(n, 0, sizeof *n);
  note_options(n, &run->options);
  note_text(n, NOTE_EPOCH, "%" PRIu64, run->feed.place.epoch);
  note_text(n, NOTE_NEXT, "%" PRId64, run->feed.place.next);
  note_text(n, NOTE_DATA, "%016" PRIx64, run->data_hash);
  note_text(n, NOTE_KERNELS, "%s", glow_context_kernels(run->context));
  note_text(n, NOTE_PRODUCTS, "%s", products_name(run->context));
  note_losses(n, &run->progress);
}

static void free_notes(notes *n) {
  for (int64_t i = 0; i < 2 * n->pairs; i++)
    free(n->items[i]);
}

/* ---- the folder ------------------------------------------------------------------------------ */

int64_t train_checkpoint_step(const char *name) {
  long long step = -1;
  char again[64];
  if (sscanf(name, "checkpoint-%19lld", &step) != 1 || step < 0)
    return -1;
  snprintf(again, sizeof again, CHECKPOINT_FORMAT, step);
  return strcmp(name, again) == 0 ? step : -1;
}

/* Highest step that the folder has a checkpoint of, -1: none. With `remove`, those above `from` but
 * for the one of step `spared` are removed. */
static int64_t look_through(const char *folder, bool remove, int64_t from, int64_t spared) {
  DIR *directory = opendir(folder);
  const struct dirent *entry;
  int64_t highest = -1;
  while (directory && (entry = readdir(directory))) {
    int64_t step = train_checkpoint_step(entry->d_name);
    highest = step > highest ? step : highest;
    if (remove && step > from && step != spared &&
        unlinkat(dirfd(directory), entry->d_name, 0) != 0)
      mention("cannot remove %s/%s: %s", folder, entry->d_name, strerror(errno));
  }
  if (directory)
    closedir(directory);
  return highest;
}

static bool same_folder(const char *a, const char *b) {
  struct stat x, y;
  return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

int train_check_folder(train_run *run) {
  const train_settings *s = &run->settings;
  if (!ranks_first(&run->ranks))
    return TOOL_FINE;
  int64_t highest = look_through(s->out, false, 0, 0);
  run->clears = highest > run->resumed;
  /* Resuming from the folder itself, those above the newest good one are known to be bad. */
  if (!run->clears || s->overwrite || (s->resume && same_folder(s->resume, s->out)))
    return TOOL_FINE;
  return complain("%s has a checkpoint of another run, after step %lld: go on from it with "
                  "--resume, choose another --out, or give --overwrite",
                  s->out, (long long)highest);
}

/* ---- writing --------------------------------------------------------------------------------- */

int train_checkpoint(train_run *run) {
  const train_settings *s = &run->settings;
  int64_t step = glow_trainer_step_count(run->trainer);
  char path[PATH_MAX], name[64];
  notes n;
  if (s->no_checkpoints || run->checkpointed == step || !ranks_first(&run->ranks))
    return TOOL_FINE;
  snprintf(name, sizeof name, CHECKPOINT_FORMAT, (long long)step);
  if (!train_path(run, name, path))
    return TOOL_BAD;
  take_notes(run, &n);
  glow_status status = GLOW_E_MEMORY;
  if (!n.failed)
    status = glow_checkpoint_save_series(run->trainer, s->out, (int32_t)s->keep,
                                         (const char *const *)n.items, n.pairs);
  bool failed = n.failed;
  free_notes(&n);
  if (failed) {
    complain("out of memory for a checkpoint");
    return TOOL_FAILED;
  }
  if (status != GLOW_OK)
    return complain_status(status, "saving a checkpoint");
  if (run->clears)
    look_through(s->out, true, run->resumed, step);
  run->clears = false;
  run->checkpointed = step;
  train_tell_file(run, "checkpoint", path);
  return TOOL_FINE;
}

/* ---- telling data apart ---------------------------------------------------------------------- */

/* FNV-1a on words of 8 bytes: enough to notice another set, not to withstand an enemy. */
static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes) {
  const unsigned char *at = data;
  while (bytes > 0) {
    uint64_t word = 0;
    size_t most = bytes < sizeof word ? bytes : sizeof word;
    memcpy(&word, at, most);
    hash = (hash ^ word) * UINT64_C(0x100000001B3);
    hash ^= hash >> 29;
    at += most;
    bytes -= most;
  }
  return hash;
}

int train_hash_data(const sample_set *set, bool labels, uint64_t *out) {
  const int64_t shape[5] = {set->count, set->height, set->width, set->channels, set->condition};
  size_t bytes = data_bytes(set), condition = (size_t)set->condition * sizeof(float);
  uint64_t hash = hash_bytes(UINT64_C(0xCBF29CE484222325), shape, sizeof shape);
  char *sample = malloc(bytes + condition + sizeof(float));
  float *conditions = malloc(condition + sizeof(float));
  int code = TOOL_FINE;
  if (!sample || !conditions) {
    complain("out of memory for a sample");
    code = TOOL_FAILED;
  }
  for (int64_t i = 0; i < set->count && code == TOOL_FINE; i++) {
    code = read_samples(set, i, 1, sample, conditions);
    hash = hash_bytes(hash, sample, bytes);
    hash = hash_bytes(hash, conditions, condition);
  }
  free(sample);
  free(conditions);
  if (labels && set->labels)
    hash = hash_bytes(hash, set->labels, (size_t)set->count * sizeof *set->labels);
  *out = hash;
  return code;
}
