/* Writing seeds. SPDX-License-Identifier: MIT */
#include "make_seeds.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *folder;

void seed_folder(const char *in, const char *kind) {
  char path[4096];
  folder = in;
  mkdir(folder, 0777);
  snprintf(path, sizeof path, "%s/%s", folder, kind);
  mkdir(path, 0777);
}

void seed_write(const char *kind, const char *name, const void *bytes, size_t size) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s/%s", folder, kind, name);
  FILE *file = fopen(path, "wb");
  bool fine = file && fwrite(bytes, 1, size, file) == size;
  if (file && fclose(file) != 0)
    fine = false;
  if (!fine) {
    perror(path);
    exit(1);
  }
}
