/* Files, and what is left behind. SPDX-License-Identifier: MIT */
#include "places.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- files ----------------------------------------------------------------------------------- */

blob read_blob(const char *path) {
  FILE *file = fopen(path, "rb");
  if (!file)
    fail_msg("cannot open '%s'", path);
  fseek(file, 0, SEEK_END);
  blob b = {.size = (size_t)ftell(file)};
  b.bytes = helper_allocate(b.size + 1);
  rewind(file);
  assert_int_equal(fread(b.bytes, 1, b.size, file), b.size);
  fclose(file);
  return b;
}

void write_blob(const char *path, const blob *b) {
  FILE *file = fopen(path, "wb");
  if (!file)
    fail_msg("cannot write '%s'", path);
  if (b->size > 0)
    assert_int_equal(fwrite(b->bytes, 1, b->size, file), b->size);
  assert_int_equal(fclose(file), 0);
}

bool holds(const char *path, const blob *expected) {
  blob b = read_blob(path);
  bool same = b.size == expected->size && memcmp(b.bytes, expected->bytes, b.size) == 0;
  free(b.bytes);
  return same;
}

/* ---- what is there --------------------------------------------------------------------------- */

int count_entries(const char *path, const char *part) {
  DIR *directory = opendir(path);
  int count = 0;
  assert_non_null(directory);
  for (const struct dirent *e; (e = readdir(directory));)
    count += e->d_name[0] != '.' && strstr(e->d_name, part) != NULL;
  closedir(directory);
  return count;
}

int count_descriptors(void) {
  return access("/proc/self/fd", R_OK) == 0 ? count_entries("/proc/self/fd", "") : 0;
}

int count_threads(void) {
  return access("/proc/self/task", R_OK) == 0 ? count_entries("/proc/self/task", "") : 0;
}

int count_mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "r");
  char line[512];
  int count = 0;
  while (maps && fgets(line, sizeof line, maps))
    count += *temp_folder && strstr(line, temp_folder) != NULL;
  if (maps)
    fclose(maps);
  return count;
}

/* The sum over the files of a hash of each: a folder has no order. */
void fold_places(const char *folder, uint64_t *hash) {
  DIR *directory = opendir(folder);
  uint64_t sum = 0;
  assert_non_null(directory);
  for (const struct dirent *e; (e = readdir(directory));) {
    char path[600];
    struct stat about;
    snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
    if (e->d_name[0] == '.' || stat(path, &about) != 0 || !S_ISREG(about.st_mode))
      continue;
    uint64_t one = HASH_INIT;
    blob b = read_blob(path);
    hash_text(&one, e->d_name);
    hash_words(&one, b.bytes, b.size);
    free(b.bytes);
    sum += one;
  }
  closedir(directory);
  hash_number(hash, (int64_t)sum);
  hash_number(hash, count_descriptors());
  hash_number(hash, count_mappings());
}

/* ---- where bytes come from ------------------------------------------------------------------- */

const char *const place_names[PLACES] = {"path", "mapping", "lazy", "memory", "callback"};

static glow_status give(void *payload, int64_t offset, void *to, size_t count) {
  const blob *b = payload;
  memcpy(to, b->bytes + offset, count);
  return GLOW_OK;
}

glow_input input_from(int place, const char *path, const blob *copy) {
  static const uint32_t flags[PLACES] = {0, GLOW_INPUT_MAP, GLOW_INPUT_LAZY, 0, 0};
  glow_input in = GLOW_INPUT_INIT;
  in.path = place < FROM_MEMORY ? path : NULL;
  in.flags = flags[place];
  in.data = place == FROM_MEMORY ? copy->bytes : NULL;
  in.read = place == FROM_CALLBACK ? give : NULL;
  in.payload = (void *)(uintptr_t)copy;
  in.size = in.path ? 0 : (int64_t)copy->size;
  return in;
}
