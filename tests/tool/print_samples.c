/* Prints samples as glowtool reads them, as JSON, for test_formats.py:
 *     print_samples [NAME=VALUE ...] -- PATH ...
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../examples/glowtool/data.h"
#include "../../examples/glowtool/memory.h"

/* JSON, a value at a time. */
static bool comma;

static void begin(const char *key) {
  printf("%s", comma ? ", " : "");
  if (key)
    printf("\"%s\": ", key);
  comma = true;
}

static void put_open(const char *key, char bracket) {
  begin(key);
  putchar(bracket);
  comma = false;
}

static void put_close(char bracket) {
  putchar(bracket);
  comma = true;
}

static void put_int(const char *key, int64_t value) {
  begin(key);
  printf("%lld", (long long)value);
}

static void put_real(double value) {
  begin(NULL);
  if (isfinite(value))
    printf("%.9g", value);
  else
    printf("null");
}

static void put_text(const char *key, const char *value) {
  begin(key);
  putchar('"');
  for (; *value; value++)
    if (*value == '"' || *value == '\\' || (unsigned char)*value < 0x20)
      printf("\\u%04x", (unsigned char)*value);
    else
      putchar(*value);
  putchar('"');
}

enum { MOST_LABELS = 8 };
static const char *labels[MOST_LABELS];
static bool peak; /* print the most memory that there was */

/* In KiB, of this program alone; 0 where the system does not tell. (getrusage counts the process
 * that has started it.) */
static int64_t most_memory(void) {
  char line[128];
  long long most = 0;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (sscanf(line, "VmHWM: %lld", &most) == 1)
      break;
  if (file)
    fclose(file);
  return most;
}

static bool set_text(data_options *o, const char *name, const char *value) {
  const struct {
    const char *name;
    const char **field;
  } texts[] = {
      {"format", &o->format},       {"pad", &o->pad},       {"background", &o->background},
      {"classes", &o->classes},     {"tensor", &o->tensor}, {"data-columns", &o->columns},
      {"condition", &o->condition}, {"shape", &o->shape},   {"label-column", &o->label_column},
      {"id-column", &o->id_column}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    if (strcmp(texts[i].name, name) == 0) {
      *texts[i].field = value;
      return true;
    }
  return false;
}

static bool set_flag(data_options *o, const char *name) {
  const struct {
    const char *name;
    bool *field;
  } flags[] = {{"upsample", &o->upsample}, {"skip-small", &o->skip_small},
               {"skip-bad", &o->skip_bad}, {"planar", &o->planar},
               {"test", &o->test},         {"nonfinite", &o->nonfinite},
               {"once", &o->once}};
  for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
    if (strcmp(flags[i].name, name) == 0) {
      *flags[i].field = true;
      return true;
    }
  return false;
}

static bool set_option(data_options *o, char *word) {
  char *value = strchr(word, '=');
  if (!value)
    return false;
  *value++ = '\0';
  if (strcmp(word, "size") == 0)
    return data_parse_size(value, &o->width, &o->height);
  if (strcmp(word, "labels") == 0 && o->label_files < MOST_LABELS)
    labels[o->label_files++] = value;
  else if (strcmp(word, "vectors") == 0)
    o->as = DATA_VECTORS;
  else if (strcmp(word, "folders") == 0)
    o->classes_from = DATA_CLASSES_FOLDERS;
  else if (strcmp(word, "channels") == 0)
    o->channels = atoll(value);
  else if (strcmp(word, "limit") == 0)
    o->limit = atoll(value);
  else if (strcmp(word, "memory") == 0)
    o->memory = atoll(value);
  else if (strcmp(word, "max-pixels") == 0)
    o->max_pixels = atoll(value);
  else if (strcmp(word, "max-memory") == 0)
    memory_limit(atoll(value));
  else if (strcmp(word, "peak") == 0)
    peak = true;
  else if (strcmp(word, "header") == 0)
    o->header = *value == 'y' ? DATA_HEADER_YES : DATA_HEADER_NO;
  else
    return set_text(o, word, value) || set_flag(o, word);
  return true;
}

static void print_numbers(const sample_set *set, const void *samples, const float *conditions) {
  put_open("values", '[');
  for (int64_t i = 0; i < set->count * data_dims(set); i++)
    if (set->floats)
      put_real((double)((const float *)samples)[i]);
    else
      put_int(NULL, ((const uint8_t *)samples)[i]);
  put_close(']');
  put_open("conditions", '[');
  for (int64_t i = 0; i < set->count * set->condition; i++)
    put_real((double)conditions[i]);
  put_close(']');
}

static void print_words(const sample_set *set) {
  char name[4096];
  put_open("labels", '[');
  for (int64_t i = 0; set->labels && i < set->count; i++)
    put_int(NULL, set->labels[i]);
  put_close(']');
  put_open("class_names", '[');
  for (int32_t i = 0; set->class_names && i < set->classes; i++)
    put_text(NULL, set->class_names[i]);
  put_close(']');
  put_open("names", '[');
  for (int64_t i = 0; i < set->count; i++)
    put_text(NULL, data_name(set, i, name, sizeof name));
  put_close(']');
  put_text("notes", set->notes ? set->notes : "");
}

static int print(const sample_set *set) {
  char error[1024] = "";
  void *samples = malloc((size_t)set->count * data_bytes(set) + 1);
  float *conditions = malloc((size_t)(set->count * set->condition + 1) * sizeof *conditions);
  if (!samples || !conditions)
    return 1;
  put_open(NULL, '{');
  if (!data_read(set, 0, set->count, samples, conditions, error, sizeof error)) {
    put_text("error", error);
  } else {
    put_int("count", set->count);
    put_int("height", set->height);
    put_int("width", set->width);
    put_int("channels", set->channels);
    put_int("classes", set->classes);
    put_int("floats", set->floats);
    put_int("kept", set->samples != NULL);
    print_numbers(set, samples, conditions);
    print_words(set);
  }
  if (peak)
    put_int("peak", most_memory());
  put_close('}');
  free(samples);
  free(conditions);
  return 0;
}

int main(int argc, char **argv) {
  data_options options = {.format = "auto", .labels = labels};
  char error[1024] = "";
  sample_set set;
  int first = 1;
  for (; first < argc && strcmp(argv[first], "--") != 0; first++)
    if (!set_option(&options, argv[first]))
      return 2;
  const char *const *paths = (const char *const *)argv + first + 1;
  int code = 0;
  if (data_open(paths, argc - first - 1, &options, &set, error, sizeof error)) {
    code = print(&set);
  } else {
    put_open(NULL, '{');
    put_text("error", error);
    if (peak)
      put_int("peak", most_memory());
    put_close('}');
  }
  data_free(&set);
  return code;
}
