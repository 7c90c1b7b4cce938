/* The folder of results: made, locked for this run, and rid of what killed runs have left in it.
 * SPDX-License-Identifier: MIT */
#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "files.h"
#include "train.h"

/* ---- what killed runs have left -------------------------------------------------------------- */

/* Is `name` a file that runs write, which ends at `length`? */
static bool is_result(const char *name, size_t length) {
  static const char *const names[] = {"model.safetensors", "model-average.safetensors",
                                      "samples.png",       "data.png",
                                      "loss.png",          "classes.csv"};
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

static void remove_left_over(const char *folder) {
  DIR *directory = opendir(folder);
  const struct dirent *entry;
  size_t length;
  while (directory && (entry = readdir(directory)))
    if (glow__temporary_is(entry->d_name, &length) && is_result(entry->d_name, length))
      glow__temporary_remove_left_over(dirfd(directory), entry->d_name);
  if (directory)
    closedir(directory);
}

/* ---- the folder ------------------------------------------------------------------------------ */

int train_open_folder(train_run *run) {
  const char *folder = run->settings.out;
  if (!ranks_first(&run->ranks))
    return TOOL_FINE;
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
