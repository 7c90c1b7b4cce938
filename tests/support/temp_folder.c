/* The temporary folder of a test program. SPDX-License-Identifier: MIT */
#define _XOPEN_SOURCE 700 /* nftw */
#include "temp_folder.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

char temp_folder[256];

bool temp_folder_make(const char *parent) {
  const char *chosen = parent ? parent : getenv("TMPDIR");
  snprintf(temp_folder, sizeof temp_folder, "%s/glow-test-XXXXXX", chosen ? chosen : "/tmp");
  return mkdtemp(temp_folder) != NULL;
}

const char *temp_path(const char *name) {
  static char paths[4][sizeof temp_folder + 256];
  static int turn;
  turn = (turn + 1) % 4;
  snprintf(paths[turn], sizeof paths[turn], "%s/%s", temp_folder, name);
  return paths[turn];
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
  (void)info, (void)type, (void)place;
  return remove(path);
}

bool temp_folder_remove(void) {
  return nftw(temp_folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0;
}
