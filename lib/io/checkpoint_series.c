/* Numbered checkpoints in a folder: writing one and removing the oldest, and finding the newest
 * that can be loaded. Only regular files are touched, and only if their name is exactly that of a
 * step.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/host.h"
#include "io/checkpoint.h"
#include "io/temporary_file.h"

#define NAME_FORMAT "checkpoint-%09lld.safetensors"
enum { NAME_BYTES = 64 };

/* Steps of the checkpoints in a folder, in ascending order once sorted. */
typedef struct series {
  glow_context *context;
  const char *folder;
  const glow_limits *limits; /* of what is loaded, or NULL */
  int64_t *steps;
  int64_t count, room;
} series;

/* ---- listing --------------------------------------------------------------------------------- */

/* The step that a file is named after, or -1. Writing the name again must give the same name. */
static int64_t step_of(const char *name) {
  static const char before[] = "checkpoint-";
  char again[NAME_BYTES];
  if (strncmp(name, before, sizeof before - 1) != 0)
    return -1;
  errno = 0;
  long long step = strtoll(name + sizeof before - 1, NULL, 10);
  snprintf(again, sizeof again, NAME_FORMAT, step);
  return step >= 0 && !errno && strcmp(again, name) == 0 ? step : -1;
}

static glow_status checkpoint_series_add(series *s, int64_t step) {
  if (s->count == s->room) {
    int64_t room = s->room ? 2 * s->room : 16;
    int64_t *steps = glow_allocate(s->context, (size_t)room * sizeof *steps);
    if (!steps)
      return GLOW_E_MEMORY;
    if (s->count)
      memcpy(steps, s->steps, (size_t)s->count * sizeof *steps);
    glow_release(s->context, s->steps);
    s->steps = steps;
    s->room = room;
  }
  s->steps[s->count++] = step;
  return GLOW_OK;
}

static glow_status cannot_list(const char *folder, int error) {
  return glow_error(glow__io_status(error), "cannot list '%s': %s", folder, strerror(error));
}

/* Interrupted by a signal handler: try again. */
static DIR *open_folder(const char *folder) {
  DIR *directory;
  do
    directory = opendir(folder);
  while (!directory && errno == EINTR);
  return directory;
}

static glow_status add_files(series *s, DIR *directory) {
  for (;;) {
    struct stat about;
    errno = 0;
    const struct dirent *entry = readdir(directory);
    if (!entry)
      break;
    int64_t step = step_of(entry->d_name);
    if (step >= 0 && fstatat(dirfd(directory), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
        S_ISREG(about.st_mode))
      GLOW_TRY(checkpoint_series_add(s, step));
  }
  return errno ? cannot_list(s->folder, errno) : GLOW_OK;
}

static int by_step(const void *a, const void *b) {
  int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
  return x < y ? -1 : x > y;
}

/* s->steps is to be released in any case. */
static glow_status checkpoint_series_list(glow_context *context, const char *folder, series *s) {
  *s = (series){.context = context, .folder = folder};
  DIR *directory = open_folder(folder);
  if (!directory)
    return cannot_list(folder, errno);
  glow_status status = add_files(s, directory);
  closedir(directory);
  if (s->count)
    glow__sort(s->steps, (size_t)s->count, sizeof *s->steps, by_step);
  return status;
}

/* ---- tidying --------------------------------------------------------------------------------- */

static bool is_temporary(const char *name) {
  char whole[NAME_BYTES];
  size_t length;
  if (!glow__temporary_is(name, &length) || length >= sizeof whole)
    return false;
  memcpy(whole, name, length);
  whole[length] = '\0';
  return step_of(whole) >= 0;
}

/* Removes temporary files of killed writers: their steps may never be written again. */
static void tidy(const char *folder) {
  DIR *directory = open_folder(folder);
  if (!directory)
    return;
  for (const struct dirent *entry; (entry = readdir(directory));)
    if (is_temporary(entry->d_name))
      glow__temporary_remove_left_over(dirfd(directory), entry->d_name);
  closedir(directory);
}

static char *path_of(glow_context *context, const char *folder, int64_t step) {
  size_t size = strlen(folder) + 1 + NAME_BYTES;
  char *path = glow_allocate(context, size);
  if (path)
    snprintf(path, size, "%s/" NAME_FORMAT, folder, (long long)step);
  return path;
}

/* ---- writing --------------------------------------------------------------------------------- */

static glow_status remove_step(const series *s, int64_t step) {
  char *path = path_of(s->context, s->folder, step);
  if (!path)
    return GLOW_E_MEMORY;
  glow_status status = GLOW_OK;
  int result;
  do
    result = unlink(path);
  while (result != 0 && errno == EINTR);
  if (result != 0 && errno != ENOENT) /* another process may have been faster */
    status = glow_error(glow__io_status(errno), "cannot remove '%s': %s", path, strerror(errno));
  glow_release(s->context, path);
  return status;
}

/* Tries to remove all of them, and reports the first failure. */
static glow_status remove_oldest(const series *s, int64_t keep, int64_t written) {
  glow_status first = GLOW_OK;
  int64_t surplus = s->count - keep;
  for (int64_t i = 0; i < s->count && surplus > 0; i++) {
    if (s->steps[i] == written)
      continue;
    surplus--;
    glow_status status = remove_step(s, s->steps[i]);
    first = first == GLOW_OK ? status : first;
  }
  return first;
}

glow_status glow_checkpoint_save_series(const glow_trainer *trainer, const char *folder,
                                        int32_t keep, const char *const *notes, int64_t pairs) {
  series s;
  if (!trainer || !folder || keep < 0)
    return glow_error(GLOW_E_ARGUMENT,
                      "glow_checkpoint_save_series: NULL argument, or keep is negative");
  glow_context *context = glow__model_context(glow__trainer_model(trainer));
  int64_t step = glow_trainer_step_count(trainer);
  char *path = path_of(context, folder, step);
  if (!path)
    return GLOW_E_MEMORY;
  glow_status status = glow_checkpoint_save(trainer, path, notes, pairs);
  glow_release(context, path);
  if (status == GLOW_OK)
    tidy(folder);
  if (status != GLOW_OK || !keep)
    return status;
  status = checkpoint_series_list(context, folder, &s);
  if (status == GLOW_OK)
    status = remove_oldest(&s, keep, step);
  glow_release(context, s.steps);
  return status == GLOW_OK
             ? status
             : glow__error_prefix(status, "checkpoint %lld is written, but", (long long)step);
}

/* ---- finding --------------------------------------------------------------------------------- */

static glow_status try_loading(const series *s, const char *path) {
  glow_input input = GLOW_INPUT_INIT;
  glow_model *model = NULL;
  glow_trainer *trainer = NULL;
  input.path = path;
  input.limits = s->limits;
  glow_status status = glow_checkpoint_load_input(s->context, &input, &model, &trainer);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  return status;
}

/* Checkpoints that are damaged or beyond the limits are passed over; *found is -1 if none is left.
 * *newest: the status of the newest one. */
static glow_status find_good(const series *s, int64_t *found, glow_status *newest) {
  *found = -1;
  for (int64_t i = s->count - 1; i >= 0 && *found < 0; i--) {
    char *path = path_of(s->context, s->folder, s->steps[i]);
    if (!path)
      return GLOW_E_MEMORY;
    glow_status status = try_loading(s, path);
    glow_release(s->context, path);
    *newest = i == s->count - 1 ? status : *newest;
    if (status == GLOW_OK)
      *found = s->steps[i];
    else if (status == GLOW_E_FORMAT || status == GLOW_E_IO || status == GLOW_E_NOT_FOUND ||
             status == GLOW_E_LIMIT)
      glow_context_log(s->context, GLOW_LOG_WARNING, "checkpoint passed over: %s",
                       glow_last_error());
    else
      return status;
  }
  return GLOW_OK;
}

static glow_status newest(const series *s, char *path, size_t size) {
  int64_t step;
  glow_status first = GLOW_OK;
  if (!s->count)
    return glow_error(GLOW_E_NOT_FOUND, "'%s' contains no checkpoint", s->folder);
  GLOW_TRY(find_good(s, &step, &first));
  if (step < 0)
    return glow__error_prefix(first == GLOW_E_LIMIT ? GLOW_E_LIMIT : GLOW_E_FORMAT,
                              "none of the %lld checkpoints in '%s' can be loaded",
                              (long long)s->count, s->folder);
  int length = snprintf(path, size, "%s/" NAME_FORMAT, s->folder, (long long)step);
  if (length >= 0 && (size_t)length < size)
    return GLOW_OK;
  path[0] = '\0';
  return glow_error(GLOW_E_LIMIT, "the path of checkpoint %lld does not fit %zu bytes",
                    (long long)step, size);
}

glow_status glow_checkpoint_newest(glow_context *context, const char *folder,
                                   const glow_limits *limits, char *path, size_t size) {
  GLOW_LIVE(context, CONTEXT);
  series s;
  glow_limits checked;
  if (!context || !folder || !path || !size)
    return glow_error(GLOW_E_ARGUMENT, "glow_checkpoint_newest: NULL argument, or no room");
  path[0] = '\0';
  GLOW_TRY(glow__limits_copy(limits, &checked));
  glow_status status = checkpoint_series_list(context, folder, &s);
  s.limits = &checked;
  if (status == GLOW_OK)
    status = newest(&s, path, size);
  glow_release(context, s.steps);
  return status;
}
