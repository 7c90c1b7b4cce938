/* Suggestions for names of options: first by meaning, then by spelling, then by both.
 * SPDX-License-Identifier: MIT */
#include "options_suggest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "tool.h"

/* ---- by meaning ------------------------------------------------------------------------------ */

/* What other programs call our options, in small letters with dashes. One name may stand for
 * several options: the first that the command has is meant. */
typedef struct synonym {
  const char *name, *option;
} synonym;

static const synonym synonyms[] = {
    {"rate", "lr"},
    {"learning-rate", "lr"},
    {"alpha", "lr"},
    {"epochs", "steps"},
    {"n-epochs", "steps"},
    {"num-epochs", "steps"},
    {"max-epochs", "steps"},
    {"iterations", "steps"},
    {"iters", "steps"},
    {"n-iter", "steps"},
    {"max-steps", "steps"},
    {"num-steps", "steps"},
    {"train-steps", "steps"},
    {"updates", "steps"},
    {"batch-size", "batch"},
    {"bs", "batch"},
    {"b", "batch"},
    {"minibatch", "micro-batch"},
    {"micro-batch-size", "micro-batch"},
    {"output", "out"},
    {"output-dir", "out"},
    {"outdir", "out"},
    {"out-dir", "out"},
    {"logdir", "out"},
    {"save-dir", "out"},
    {"o", "out"},
    {"input", "data"},
    {"i", "data"},
    {"dataset", "data"},
    {"data-dir", "data"},
    {"dataroot", "data"},
    {"train", "data"},
    {"train-data", "data"},
    {"train-dir", "data"},
    {"val", "test"},
    {"valid", "test"},
    {"validation", "test"},
    {"test-data", "test"},
    {"test-dir", "test"},
    {"classes", "labels"},
    {"targets", "labels"},
    {"limit", "images"},
    {"n-images", "images"},
    {"max-images", "images"},
    {"count", "images"},
    {"n", "count"},
    {"n", "images"},
    {"num-samples", "count"},
    {"num-samples", "samples"},
    {"n-samples", "count"},
    {"n-samples", "samples"},
    {"n-sample", "count"},
    {"n-sample", "samples"},
    {"samples", "count"},
    {"number", "count"},
    {"image-size", "size"},
    {"img-size", "size"},
    {"resolution", "size"},
    {"resize", "size"},
    {"n-bits", "bits"},
    {"num-bits", "bits"},
    {"n-bits-x", "bits"},
    {"architecture", "model"},
    {"arch", "model"},
    {"n-levels", "levels"},
    {"num-levels", "levels"},
    {"n-block", "levels"},
    {"n-blocks", "levels"},
    {"scales", "levels"},
    {"l", "levels"},
    {"n-flow", "depth"},
    {"n-flows", "depth"},
    {"num-flows", "depth"},
    {"num-layers", "depth"},
    {"layers", "depth"},
    {"k", "depth"},
    {"width", "hidden"},
    {"hidden-channels", "hidden"},
    {"hidden-size", "hidden"},
    {"hidden-units", "hidden"},
    {"filters", "hidden"},
    {"flow-permutation", "permutation"},
    {"flow-coupling", "coupling"},
    {"affine", "coupling"},
    {"class-conditional", "conditional"},
    {"y-condition", "conditional"},
    {"ycond", "conditional"},
    {"cond", "conditional"},
    {"optim", "optimizer"},
    {"optimiser", "optimizer"},
    {"momentum", "beta1"},
    {"eps", "epsilon"},
    {"wd", "weight-decay"},
    {"l2", "weight-decay"},
    {"lr-schedule", "schedule"},
    {"lr-scheduler", "schedule"},
    {"scheduler", "schedule"},
    {"warmup-steps", "warmup"},
    {"clip", "clip-norm"},
    {"grad-clip", "clip-norm"},
    {"gradient-clip", "clip-norm"},
    {"max-grad-norm", "clip-norm"},
    {"grad-norm", "clip-norm"},
    {"max-grad-clip", "clip-value"},
    {"polyak", "ema"},
    {"ema-decay", "ema"},
    {"average", "ema"},
    {"augment", "flip"},
    {"hflip", "flip"},
    {"horizontal-flip", "flip"},
    {"checkpointing", "reconstruct"},
    {"gradient-checkpointing", "reconstruct"},
    {"random-seed", "seed"},
    {"rng-seed", "seed"},
    {"s", "seed"},
    {"workers", "threads"},
    {"num-workers", "threads"},
    {"num-threads", "threads"},
    {"n-threads", "threads"},
    {"cpus", "threads"},
    {"jobs", "threads"},
    {"j", "threads"},
    {"t", "threads"},
    {"device", "kernels"},
    {"backend", "kernels"},
    {"precision", "products"},
    {"bf16", "products"},
    {"bfloat16", "products"},
    {"amp", "products"},
    {"dtype", "type"},
    {"continue", "resume"},
    {"restore", "resume"},
    {"checkpoint", "resume"},
    {"ckpt", "resume"},
    {"init", "from"},
    {"load", "from"},
    {"pretrained", "from"},
    {"finetune", "from"},
    {"fine-tune", "from"},
    {"weights", "from"},
    {"force", "overwrite"},
    {"f", "overwrite"},
    {"y", "overwrite"},
    {"silent", "quiet"},
    {"q", "quiet"},
    {"log-every", "report-every"},
    {"log-interval", "report-every"},
    {"print-every", "report-every"},
    {"eval-every", "test-every"},
    {"val-every", "test-every"},
    {"save-interval", "save-every"},
    {"sample-interval", "sample-every"},
    {"temp", "temperature"},
    {"temp", "temperatures"},
    {"temperature", "temperatures"},
    {"temperatures", "temperature"},
    {"tau", "temperature"},
    {"label", "class"},
    {"y", "class"},
    {"cols", "columns"},
    {"nrow", "columns"},
    {"positive", "with"},
    {"negative", "without"},
    {"ood", "other"},
    {"in", "data"},
    {"latents", "data"},
    {"z", "data"},
};

/* "--Batch_Size=3" to "batch-size". */
static void simplify(const char *word, char *out, size_t size) {
  size_t used = 0;
  word += strspn(word, "-");
  for (; *word && *word != '=' && used + 1 < size; word++)
    out[used++] = (char)(*word == '_' ? '-' : tolower((unsigned char)*word));
  out[used] = '\0';
}

static const option_row *by_meaning(const option_table *table, const char *name) {
  const option_row *row = options_find(table, name); /* written with _ or in capitals */
  for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms && !row; i++)
    if (strcmp(synonyms[i].name, name) == 0)
      row = options_find(table, synonyms[i].option);
  return row;
}

/* ---- by spelling ----------------------------------------------------------------------------- */

int word_distance(const char *a, const char *b) {
  enum { LONGEST = 40 };
  int row[LONGEST + 1], columns = (int)strlen(b);
  if (columns > LONGEST)
    return LONGEST;
  for (int j = 0; j <= columns; j++)
    row[j] = j;
  for (int i = 1; a[i - 1]; i++) {
    int corner = row[0];
    row[0] = i;
    for (int j = 1; j <= columns; j++) {
      int best = corner + (a[i - 1] != b[j - 1]);
      best = row[j] + 1 < best ? row[j] + 1 : best;
      best = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
      corner = row[j];
      row[j] = best;
    }
  }
  return row[columns];
}

/* Another program's name, spelled wrongly: long ones alone, since short ones are near to many. */
static const option_row *by_spelling_and_meaning(const option_table *table, const char *name) {
  const option_row *nearest = NULL;
  int least = 3;
  for (size_t i = 0; i < sizeof synonyms / sizeof *synonyms && strlen(name) >= 6; i++) {
    const option_row *row = options_find(table, synonyms[i].option);
    int d = row && strlen(synonyms[i].name) >= 6 ? word_distance(name, synonyms[i].name) : least;
    if (d < least) {
      least = d;
      nearest = row;
    }
  }
  return nearest;
}

static const option_row *by_spelling(const option_table *table, const char *name) {
  const option_row *nearest = NULL;
  int least = strlen(name) < 4 ? 2 : 3; /* of three letters all may be wrong */
  for (const option_row *row = table->rows; row->kind != OPTION_END; row++) {
    int d = row->name ? word_distance(name, row->name) : least;
    if (d < least) {
      least = d;
      nearest = row;
    }
  }
  return nearest;
}

/* ---- the message ----------------------------------------------------------------------------- */

/* The options that begin with `name`, to a text of `size` bytes. Returns how many. */
static int beginning_with(const option_table *table, const char *name, char *text, size_t size) {
  int found = 0;
  size_t used = 0;
  *text = '\0';
  for (const option_row *row = table->rows; row->kind != OPTION_END; row++)
    if (row->name && *name && strncmp(row->name, name, strlen(name)) == 0) {
      if (used < size)
        used += (size_t)snprintf(text + used, size - used, "%s--%s", found ? ", " : "", row->name);
      found++;
    }
  return found;
}

int options_refuse_unknown(const option_table *table, const char *word) {
  char name[64], list[512];
  simplify(word, name, sizeof name);
  int shown = (int)strcspn(word, "=");
  bool unclear = word[0] == '-' && word[1] == '-';
  if (unclear && beginning_with(table, name, list, sizeof list) > 1)
    return complain("%.*s is short for %s: type one of them", shown, word, list);
  const option_row *meant = by_meaning(table, name);
  if (!meant)
    meant = by_spelling(table, name);
  if (!meant)
    meant = by_spelling_and_meaning(table, name);
  if (!meant)
    return complain("unknown option %.*s; see 'glowtool %s --help'", shown, word, table->command);
  return complain("unknown option %.*s; did you mean --%s (%s)?", shown, word, meant->name,
                  meant->help);
}
