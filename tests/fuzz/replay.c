/* Runs a fuzz target over files and folders of files, with any compiler: the corpus as an ordinary
 * test. Usage: replay FILE|FOLDER ... SPDX-License-Identifier: MIT */
#include "fuzz.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static long files;

/* In memory of exactly the file's size, so that a sanitizer sees a byte too far. */
static bool run_file(const char *path) {
  FILE *file = fopen(path, "rb");
  long size = -1;
  if (file && fseek(file, 0, SEEK_END) == 0)
    size = ftell(file);
  uint8_t *data = size >= 0 ? malloc((size_t)size + (size == 0)) : NULL;
  bool read =
      data && fseek(file, 0, SEEK_SET) == 0 && fread(data, 1, (size_t)size, file) == (size_t)size;
  if (file)
    fclose(file);
  if (read) {
    LLVMFuzzerTestOneInput(data, (size_t)size);
    files++;
  } else {
    fprintf(stderr, "replay: cannot read %s\n", path);
  }
  free(data);
  return read;
}

/* Seeds lie beside the tests of importers. */
static bool is_source(const char *name) {
  const char *dot = strrchr(name, '.');
  return dot && strcmp(dot, ".safetensors") != 0;
}

static bool run_folder(const char *path) {
  DIR *folder = opendir(path);
  bool fine = folder != NULL;
  if (!folder)
    fprintf(stderr, "replay: cannot list %s\n", path);
  for (const struct dirent *entry; fine && (entry = readdir(folder));) {
    char inside[4096];
    if (entry->d_name[0] == '.' || is_source(entry->d_name))
      continue;
    snprintf(inside, sizeof inside, "%s/%s", path, entry->d_name);
    fine = run_file(inside);
  }
  if (folder)
    closedir(folder);
  return fine;
}

int main(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    struct stat about;
    bool is_folder = stat(argv[i], &about) == 0 && S_ISDIR(about.st_mode);
    if (!(is_folder ? run_folder(argv[i]) : run_file(argv[i])))
      return 1;
  }
  printf("%ld files\n", files);
  return files ? 0 : 1;
}
