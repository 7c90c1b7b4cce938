/* glowtool anomaly: how well likelihood and typicality tell other images from those that a
 * model has learnt. Likelihood alone may fail: flows give images of simpler sets fewer bits than
 * their own (Nalisnick et al. 2019a); typicality asks how far an image's bits/dim are from the
 * mean over known images (Nalisnick et al. 2019b). SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "data_rows.h"
#include "files.h"
#include "json.h"
#include "picture.h"
#include "roc.h"
#include "score.h"

typedef struct anomaly_settings {
  const char *model, *out, *per_image, *kernels;
  sample_source source, other, reference;
  int64_t count, draws, shapes_seed, seed, batch, threads, products, max_memory;
  bool json, strict;
} anomaly_settings;

#define FIELD(name) offsetof(anomaly_settings, name)

static const option_row rows[] = {
    SAMPLE_DATA_ROWS,
    LIST("other", other.paths, "images of another kind, which should stand out"),
    TEXT("other-format", "NAME", other.form.format, "auto", "of --other, like --format"),
    LIST("other-labels", other.labels, "labels of --other"),
    LIST("reference", reference.paths,
         "known images for typicality, such as those trained on; default: the first half of "
         "--data, and then only the second half is scored"),
    LIST("reference-labels", reference.labels, "labels of --reference"),
    INT("images", count, "1000", 2, 1e9, "how many images of each kind to take at most"),
    INT("draws", draws, "1", 1, 1000,
        "draws of noise for each image, over which its score is averaged"),
    OUTPUT("out", out, "anomaly.png", ".png", "picture of both distributions, a PNG"),
    TEXT("per-image", "FILE", per_image, NULL,
         "also write a line 'set,number,bits/dim,name' for each"),
    FLAG("json", json, "print the result as JSON"),
    STRICT_ROW,
    SAMPLE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    SAMPLE_DATA_RULES,
    {"shapes-seed", "format=shapes|other-format=shapes|format=digits|other-format=digits",
     "it is the seed of generated images"},
    {"other", "other-format!=shapes", "shapes are generated"},
    {"other", "other-format!=digits", "digits are generated"},
    {"other-labels", "other", NULL},
    {"other-labels", "other-format!=cifar10", "those files hold their own labels"},
    {"other-labels", "other-format!=cifar100*", "those files hold their own labels"},
    {"reference", "format!=shapes", "shapes are generated"},
    {"reference", "format!=digits", "digits are generated"},
    {"reference-labels", "reference", NULL},
    {NULL, NULL, NULL},
};

const option_table anomaly_table = {
    .command = "anomaly",
    .usage = "MODEL --data PATH ... --other PATH ... [options]",
    .about =
        "Scores images like those that the model has learnt, and others, by bits per dimension "
        "and by typicality, the distance of the bits per dimension from their mean over known "
        "images. Prints the area under the ROC curve of each score: 1 when every other image "
        "scores above every usual one, 0.5 when the score does not tell them apart. Words after "
        "--data, "
        "--other and --reference are paths up to the next option, so MODEL stands first.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(anomaly_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- scores ---------------------------------------------------------------------------------- */

typedef struct scores {
  int64_t count;
  double *bits;   /* NaN: not finite, until those are dropped */
  sample_set set; /* for the names */
  int64_t first;  /* number in the set of the first of them */
} scores;

/* Images whose results are not finite are counted in *tally. */
static int score_source(const anomaly_settings *s, opened_model *m, sample_source *source,
                        scores *out, row_tally *tally) {
  score_summary summary;
  sample_set *set = &out->set;
  int code = open_for_model(m->model, s->model, source, s->count, (uint64_t)s->shapes_seed, set);
  if (code != TOOL_FINE)
    return code;
  out->count = set->count;
  out->bits = malloc((size_t)set->count * sizeof *out->bits);
  if (out->bits)
    code = score_images(m->workspace, m->model, m->batch, set, set->count, s->draws,
                        (uint64_t)s->seed, out->bits, NULL, &summary);
  else
    code = TOOL_FAILED;
  if (!out->bits)
    complain("out of memory for %lld scores", (long long)set->count);
  for (int64_t i = 0; code == TOOL_FINE && i < out->count; i++)
    tally_row(tally, i, !isfinite(out->bits[i]));
  return code;
}

/* Drops the scores that are not finite. */
static int drop_nonfinite(scores *s, const char *which) {
  int64_t kept = 0;
  for (int64_t i = 0; i < s->count; i++)
    if (isfinite(s->bits[i]))
      s->bits[kept++] = s->bits[i];
  s->count = kept;
  if (kept)
    return TOOL_FINE;
  complain("%s: no image has a finite score", which);
  return TOOL_FAILED;
}

static double mean_of(const double *x, int64_t count) {
  double sum = 0.0;
  for (int64_t i = 0; i < count; i++)
    sum += x[i];
  return sum / (double)count;
}

typedef struct result {
  int64_t usual, other;
  double usual_mean, other_mean, reference_mean, likelihood, typicality;
} result;

static void to_distance(scores *s, double mean) {
  for (int64_t i = 0; i < s->count; i++)
    s->bits[i] = fabs(s->bits[i] - mean);
}

/* ---- what it shows --------------------------------------------------------------------------- */

enum { BINS = 60 };

/* Share of the images in each bin of [low, high]. */
static void histogram(const scores *s, double low, double high, double *x, double *y) {
  for (int b = 0; b < BINS; b++) {
    x[b] = low + (high - low) * (b + 0.5) / BINS;
    y[b] = 0.0;
  }
  for (int64_t i = 0; i < s->count; i++) {
    int bin = (int)((s->bits[i] - low) / (high - low) * BINS);
    y[bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin] += 1.0 / (double)s->count;
  }
}

static int draw(const anomaly_settings *s, const scores *usual, const scores *other) {
  double x[BINS], y[2][BINS], low = INFINITY, high = -INFINITY;
  char error[1024] = "";
  const scores *both[] = {usual, other};
  for (int k = 0; k < 2; k++)
    for (int64_t i = 0; i < both[k]->count; i++) {
      low = fmin(low, both[k]->bits[i]);
      high = fmax(high, both[k]->bits[i]);
    }
  if (!(high > low))
    high = low + 1.0;
  for (int k = 0; k < 2; k++)
    histogram(both[k], low, high, x, y[k]);
  const picture_series series[] = {{"data", BINS, x, y[0]}, {"other", BINS, x, y[1]}};
  if (picture_write_chart(s->out, "bits per dimension", "bits/dim", "share", series, 2, error,
                          sizeof error))
    return TOOL_FINE;
  return complain_failure(error, errno);
}

static int write_scores(const anomaly_settings *s, const scores *usual, const scores *other) {
  char *text = NULL;
  size_t bytes = 0;
  FILE *file = s->per_image ? open_memstream(&text, &bytes) : NULL;
  if (!s->per_image)
    return TOOL_FINE;
  bool good = file != NULL;
  if (file) {
    fputs("set,image,bits_per_dim,name\n", file);
    for (int64_t i = 0; i < usual->count; i++)
      csv_score_line(file, "data", &usual->set, usual->first + i, usual->bits[i]);
    for (int64_t i = 0; i < other->count; i++)
      csv_score_line(file, "other", &other->set, i, other->bits[i]);
    good = fclose(file) == 0;
  }
  int code = TOOL_FAILED;
  if (good)
    code = file_write_text(s->per_image, text, bytes);
  else
    complain("out of memory for %s", s->per_image);
  free(text);
  return code;
}

static void print(const anomaly_settings *s, const result *r) {
  if (!s->json) {
    printf("data:  %.4f bits/dim over %lld images\nother: %.4f bits/dim over %lld images\n"
           "area under the curve: likelihood %.4f, typicality %.4f (about %.4f bits/dim)\n",
           r->usual_mean, (long long)r->usual, r->other_mean, (long long)r->other, r->likelihood,
           r->typicality, r->reference_mean);
    return;
  }
  json_writer json = {stdout, false};
  put_open(&json, NULL, '{');
  put_text(&json, "model", s->model);
  put_int(&json, "images", r->usual);
  put_int(&json, "other_images", r->other);
  put_real(&json, "bits_per_dim", r->usual_mean);
  put_real(&json, "other_bits_per_dim", r->other_mean);
  put_real(&json, "reference_bits_per_dim", r->reference_mean);
  put_real(&json, "auc_likelihood", r->likelihood);
  put_real(&json, "auc_typicality", r->typicality);
  put_text(&json, "out", s->out);
  put_close(&json, '}');
  putchar('\n');
}

/* ---- the command ----------------------------------------------------------------------------- */

/* `usual` holds the images that are scored, `known` those of the mean. */
static int compare(const anomaly_settings *s, scores *usual, scores *other, scores *known) {
  int code = write_scores(s, usual, other);
  if (code == TOOL_FINE)
    code = drop_nonfinite(usual, "--data");
  if (code == TOOL_FINE)
    code = drop_nonfinite(other, "--other");
  if (code == TOOL_FINE)
    code = drop_nonfinite(known, "known images");
  if (code != TOOL_FINE)
    return code;
  double mean = mean_of(known->bits, known->count);
  result r = {.usual = usual->count,
              .other = other->count,
              .usual_mean = mean_of(usual->bits, usual->count),
              .other_mean = mean_of(other->bits, other->count),
              .reference_mean = mean};
  code = draw(s, usual, other);
  if (code != TOOL_FINE)
    return code;
  r.likelihood = area_under_curve(usual->bits, usual->count, other->bits, other->count);
  to_distance(usual, mean);
  to_distance(other, mean);
  r.typicality = area_under_curve(usual->bits, usual->count, other->bits, other->count);
  print(s, &r);
  return TOOL_FINE;
}

static int score_all(anomaly_settings *s, opened_model *m, scores *usual, scores *other,
                     scores *reference) {
  row_tally tally = {0};
  int code = score_source(s, m, &s->source, usual, &tally);
  if (code == TOOL_FINE)
    code = score_source(s, m, &s->other, other, &tally);
  if (code == TOOL_FINE && s->reference.paths.count)
    code = score_source(s, m, &s->reference, reference, &tally);
  if (code != TOOL_FINE)
    return code;
  int64_t half = usual->count / 2;
  scores first = {half, usual->bits, usual->set, 0};
  scores second = {usual->count - half, usual->bits + half, usual->set, half};
  if (reference->count)
    code = compare(s, usual, other, reference);
  else if (half)
    code = compare(s, &second, other, &first);
  else
    return complain("--data: two images or more are needed without --reference");
  return code == TOOL_FINE ? tally_tell(&tally, "images", "they are left out", s->strict) : code;
}

static int anomaly(void *settings, opened_model *m) {
  anomaly_settings *s = settings;
  scores usual = {0}, other = {0}, reference = {0};
  const char *format = s->other.form.format;
  s->other.form = s->reference.form = s->source.form;
  s->other.form.format = format;
  s->other.form.shared = s->reference.form.shared = true;
  int code = file_check_target(s->out);
  if (code == TOOL_FINE && s->per_image)
    code = file_check_target(s->per_image);
  if (code == TOOL_FINE && !s->other.paths.count && !data_is_generated(format))
    code = complain("--other is missing: images of another kind");
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, s->batch);
  if (code == TOOL_FINE)
    code = score_all(s, m, &usual, &other, &reference);
  scores *all[] = {&usual, &other, &reference};
  for (int i = 0; i < 3; i++) {
    free(all[i]->bits);
    data_free(&all[i]->set);
  }
  return code;
}

int command_anomaly(int argc, char **argv) {
  anomaly_settings settings;
  return run_on_model(argc, argv, &anomaly_table, &settings, anomaly);
}
