/* Reads the pictures of odd_images.py as glowtool does and compares them with what it expects:
 *     check_images FOLDER COUNT
 * Lines of FOLDER/expected.txt are NAME PART "refused" MESSAGE, or NAME PART "pixels" WIDTH HEIGHT
 * CHANNELS HEX. PART: "-", "webp" or "no-webp" of builds with that library or without it, "auto" if
 * the contents are to say what the file is, "background=..." of an option.
 * SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/glowtool/data.h"

#ifdef GLOWTOOL_HAVE_WEBP
static const bool have_webp = true;
#else
static const bool have_webp = false;
#endif
#ifdef GLOWTOOL_HAVE_JPEG
static const bool have_jpeg = true;
#else
static const bool have_jpeg = false;
#endif

static bool is_jpeg(const char *folder, const char *name) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", folder, name);
  FILE *file = fopen(path, "rb");
  bool found = file && getc(file) == 0xFF && getc(file) == 0xD8;
  if (file)
    fclose(file);
  return found;
}

static bool same(const sample_set *set, const char *rest) {
  long long width, height, channels;
  int at = 0;
  if (sscanf(rest, "%lld %lld %lld %n", &width, &height, &channels, &at) != 3 || set->count != 1 ||
      set->width != width || set->height != height || set->channels != channels || set->floats) {
    printf("  %lld x %lld x %lld\n", (long long)set->width, (long long)set->height,
           (long long)set->channels);
    return false;
  }
  const uint8_t *pixels = set->samples;
  for (long long i = 0; i < width * height * channels; i++) {
    unsigned expected = 0;
    if (sscanf(rest + at + 2 * i, "%2x", &expected) != 1 || pixels[i] != expected) {
      printf("  number %lld is %u, not %u\n", i, pixels[i], expected);
      return false;
    }
  }
  return true;
}

static bool check(const char *folder, const char *name, const char *part, const char *kind,
                  const char *rest) {
  char path[4096], error[1024] = "";
  sample_set set;
  data_options options = {.format = strcmp(part, "auto") == 0 ? "auto" : "images"};
  if (strncmp(part, "background=", 11) == 0)
    options.background = part + 11;
  snprintf(path, sizeof path, "%s/%s", folder, name);
  const char *const paths[] = {path};
  bool opened = data_open(paths, 1, &options, &set, error, sizeof error), good;
  if (strcmp(kind, "refused") == 0)
    good = !opened && strstr(error, rest) && strstr(error, name);
  else
    good = opened && same(&set, rest);
  if (!good)
    printf("WRONG: %s: %s\n", name, opened ? "other pixels" : error);
  data_free(&set);
  return good;
}

int main(int argc, char **argv) {
  char path[4096], *line = NULL;
  size_t room = 0;
  int passed = 0, failed = 0, skipped = 0;
  if (argc != 3)
    return 2;
  snprintf(path, sizeof path, "%s/expected.txt", argv[1]);
  FILE *file = fopen(path, "r");
  while (file && getline(&line, &room, file) > 0) {
    char name[100], part[100], kind[20];
    int at = 0;
    line[strcspn(line, "\n")] = '\0';
    if (sscanf(line, "%99s %99s %19s %n", name, part, kind, &at) != 3)
      return 2;
    bool jpeg = is_jpeg(argv[1], name);
    if ((strcmp(part, "webp") == 0 && !have_webp) || (strcmp(part, "no-webp") == 0 && have_webp) ||
        (jpeg && !have_jpeg && strcmp(part, "auto") != 0))
      skipped++;
    else if (check(argv[1], name, part, kind, line + at))
      passed++;
    else
      failed++;
  }
  free(line);
  if (file)
    fclose(file);
  printf("%d passed, %d failed, %d of libraries that this build has not\n", passed, failed,
         skipped);
  return failed == 0 && passed >= 40 && passed + skipped == atoi(argv[2]) ? 0 : 1;
}
