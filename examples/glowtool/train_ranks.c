/* A run on several ranks: what must be the same on all of them is compared before the first step,
 * and the trainers are joined. Each rank reads its part of every batch; rank 0 alone prints, draws
 * and writes. SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train.h"

/* Files may have other names on other machines: what they hold is compared. */
static bool is_compared(const char *option) {
  static const char *const files[] = {"data", "test", "labels", "test-labels", "from"};
  for (size_t i = 0; i < sizeof files / sizeof *files; i++)
    if (strcmp(option, files[i]) == 0)
      return false;
  return !train_is_of_process(option);
}

/* Lists have their items on lines. */
static void put_value(FILE *file, const char *name, const char *value) {
  fprintf(file, "%s=", name);
  for (; *value; value++)
    putc(*value == '\n' ? ' ' : *value, file);
  putc('\n', file);
}

static char *list_options(const train_run *run) {
  char *text = NULL;
  size_t bytes;
  FILE *file = open_memstream(&text, &bytes);
  bool failed = !file;
  for (const option_row *row = run->options.table->rows; file && row->kind != OPTION_END; row++) {
    bool wrong = false;
    char *value =
        row->name && is_compared(row->name) ? options_text(&run->options, row, &wrong) : NULL;
    failed |= wrong;
    if (value)
      put_value(file, row->name, value);
    free(value);
  }
  if (file)
    failed |= fclose(file) != 0;
  if (!failed)
    return text;
  free(text);
  return NULL;
}

static int compare_options(train_run *run) {
  char *text = list_options(run);
  if (!text)
    complain("out of memory");
  int code = ranks_agree(&run->ranks, text ? TOOL_FINE : TOOL_FAILED);
  if (code == TOOL_FINE)
    code = ranks_compare(&run->ranks, text, "--");
  free(text);
  return code;
}

static void take_settings(train_run *run) {
  train_settings *s = &run->settings;
  if (!s->threads)
    s->threads = run->ranks.threads;
  s->quiet = s->quiet || !ranks_first(&run->ranks);
  s->json = s->json && ranks_first(&run->ranks);
}

int train_ranks_open(train_run *run, int code) {
  const train_settings *s = &run->settings;
  int opened = ranks_open(&run->ranks, s->ranks, (double)s->rank_timeout);
  if (opened != TOOL_FINE)
    return opened;
  code = ranks_agree(&run->ranks, code);
  if (code != TOOL_FINE || !ranks_several(&run->ranks))
    return code;
  code = compare_options(run);
  if (code == TOOL_FINE)
    take_settings(run);
  return code;
}

/* ---- joining --------------------------------------------------------------------------------- */

static int check_shares(const train_run *run) {
  const train_settings *s = &run->settings;
  const int64_t size = run->ranks.table.size;
  int64_t initial = s->init_images < run->data.count ? s->init_images : run->data.count;
  if (s->batch < size)
    return complain("--batch %lld is that of all ranks together: %lld ranks cannot share it",
                    (long long)s->batch, (long long)size);
  if (run->resumed < 0 && !glow_model_initialised(run->model) && initial < size)
    return complain("%lld images to initialise from cannot be shared by %lld ranks",
                    (long long)initial, (long long)size);
  return TOOL_FINE;
}

static int compare_data(train_run *run) {
  char text[512];
  snprintf(text, sizeof text,
           "hash=%016" PRIx64 "\nnumber of samples=%lld\nnumber of test samples=%lld\n"
           "checkpoint, by its step,=%lld\n",
           run->data_hash, (long long)run->data.count, (long long)run->test.count,
           (long long)run->resumed);
  return ranks_compare(&run->ranks, text, "data: ");
}

int train_ranks_join(train_run *run) {
  ranks *r = &run->ranks;
  glow_collective_options options = GLOW_COLLECTIVE_OPTIONS_INIT;
  if (!ranks_several(r))
    return TOOL_FINE;
  options.sums = (int32_t)run->settings.sums;
  glow_status status = glow_trainer_set_collective(run->trainer, &r->table, &options);
  return ranks_agree(r, status == GLOW_OK ? TOOL_FINE : complain_status(status, NULL));
}

int train_ranks_start(train_run *run, int code) {
  ranks *r = &run->ranks;
  code = ranks_agree(r, code);
  if (code != TOOL_FINE || !ranks_several(r))
    return code;
  code = ranks_agree(r, check_shares(run));
  if (code == TOOL_FINE)
    code = compare_data(run);
  return code == TOOL_FINE ? train_ranks_join(run) : code;
}
