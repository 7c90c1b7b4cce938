/* The folder of results: made, locked for this run, and rid of what killed runs have left in it.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "train.h"

/* ---- what killed runs have left -------------------------------------------------------------- */

/* Is `name` a file that runs write, which ends at `length`? */
static bool is_result(const char *name, size_t length) {
  static const char *const names[] = {"model.safetensors", "model-average.safetensors",
                                      "samples.png", "data.png", "loss.png"};
  char whole[64];
  if (length >= sizeof whole)
    return false;
  memcpy(whole, name, length);
  whole[length] = '\0';
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    if (strcmp(whole, names[i]) == 0)
      return true;
  return train_checkpoint_step(whole) >= 0;
}

/* NAME.glow-N.tmp, which the library writes, and NAME.PROCESS.tmp, which pictures are written as
 * (*process; else 0). */
static bool is_temporary(const char *name, long *process) {
  static const char end[] = ".tmp";
  size_t length = strlen(name);
  *process = 0;
  if (length < sizeof end || strcmp(name + length - (sizeof end - 1), end) != 0)
    return false;
  const char *number = name + length - (sizeof end - 1);
  while (number > name && number[-1] >= '0' && number[-1] <= '9')
    number--;
  if (*number == '.' || number == name)
    return false;
  static const char ours[] = ".glow-";
  size_t before = sizeof ours - 1;
  if ((size_t)(number - name) > before && memcmp(number - before, ours, before) == 0)
    return is_result(name, (size_t)(number - name) - before);
  *process = strtol(number, NULL, 10);
  return number[-1] == '.' && *process > 0 && is_result(name, (size_t)(number - name) - 1);
}

/* The library locks what it writes; for a picture, the process number in its name says whose it
 * is. */
static bool is_left_over(int folder, const char *name, long process) {
  struct stat about;
  if (process)
    return kill((pid_t)process, 0) != 0 && errno == ESRCH;
  int file = openat(folder, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  bool unused = file >= 0 && fstat(file, &about) == 0 && S_ISREG(about.st_mode) &&
                flock(file, LOCK_EX | LOCK_NB) == 0;
  if (file >= 0)
    close(file);
  return unused;
}

static void remove_left_over(const char *folder) {
  DIR *directory = opendir(folder);
  const struct dirent *entry;
  long process;
  while (directory && (entry = readdir(directory)))
    if (is_temporary(entry->d_name, &process) &&
        is_left_over(dirfd(directory), entry->d_name, process) &&
        unlinkat(dirfd(directory), entry->d_name, 0) != 0)
      mention("cannot remove %s/%s: %s", folder, entry->d_name, strerror(errno));
  if (directory)
    closedir(directory);
}

/* ---- the folder ------------------------------------------------------------------------------ */

int train_open_folder(train_run *run) {
  const char *folder = run->settings.out;
  int code = folder_prepare(folder, &run->made_folders);
  if (code == TOOL_FINE)
    code = folder_lock_take(&run->lock, folder);
  if (code == TOOL_FINE)
    remove_left_over(folder);
  return code;
}

/* A folder that this run made and left empty goes away; one with results stays. */
void train_close_folder(train_run *run, int code) {
  char path[PATH_MAX];
  bool steps = run->trainer && glow_trainer_step_count(run->trainer) > 0;
  folder_unlock(&run->lock);
  if (code == TOOL_FINE || !run->made_folders)
    return;
  if (!steps && train_path(run, "data.png", path))
    remove(path);
  folder_discard(run->settings.out, run->made_folders);
}
