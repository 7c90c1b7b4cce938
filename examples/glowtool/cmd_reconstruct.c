/* glowtool reconstruct: data x to latents z and back to x', and how far x' is from x.
 * SPDX-License-Identifier: MIT */
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
#include "rows.h"

typedef struct reconstruct_settings {
  const char *model, *out, *kernels;
  sample_source source;
  int64_t count, columns, shapes_seed, seed, batch, threads, products, max_memory;
  bool json, strict;
} reconstruct_settings;

#define FIELD(name) offsetof(reconstruct_settings, name)

static const option_row rows[] = {
    SAMPLE_DATA_ROWS,
    INT("count", count, "32", 1, 2048, "images to take, from the first on"),
    INT("columns", columns, "4", 1, 1024, "pairs in a row of the picture"),
    OUTPUT("out", out, "reconstruction.png", ".png", "picture to write, a PNG"),
    FLAG("json", json, "print the result as JSON"),
    STRICT_ROW,
    SAMPLE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    SAMPLE_DATA_RULES,
    GENERATED_RULE,
    {NULL, NULL, NULL},
};

const option_table reconstruct_table = {
    .command = "reconstruct",
    .usage = "MODEL --data PATH ... [options]",
    .about =
        "Takes images to their latents and back. Writes a picture of pairs, the image left and "
        "its reconstruction right, and prints the largest and the mean difference, in steps of "
        "1/256 of the range of a pixel. A flow is exact: what differs is rounding. Words after "
        "--data are paths up to the next option, so MODEL stands first.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(reconstruct_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

typedef struct round_trip {
  sample_batch in;
  row_pass there, back_again;
  float *latents, *back; /* [batch, dims] */
  uint8_t *pairs;        /* [2 count, dims]: image, reconstruction, image, ... */
  double largest, sum;   /* of |x' - x| in what is finite */
  int64_t changed;       /* pixels of it that differ after rounding to bits */
} round_trip;

/* Image i of a batch, whose pair of pixels is `pair`. */
static void compare(round_trip *r, int64_t i, const uint8_t *pair) {
  int64_t dims = r->there.dims;
  for (int64_t d = 0; d < dims; d++) {
    double error = fabs((double)r->back[i * dims + d] - (double)r->in.x[i * dims + d]);
    r->sum += error;
    r->largest = error > r->largest ? error : r->largest;
    r->changed += pair[d] != pair[dims + d];
  }
}

/* The pixels of both, and how far they are apart. */
static glow_status finish_image(const opened_model *m, round_trip *r, int64_t i, uint8_t *pair) {
  int64_t dims = r->there.dims;
  glow_status status = glow_model_quantise(m->model, r->in.x + i * dims, 1, pair);
  if (status == GLOW_OK)
    status = glow_model_quantise(m->model, r->back + i * dims, 1, pair + dims);
  if (status == GLOW_OK && !rows_bad(&r->back_again, i))
    compare(r, i, pair);
  return status;
}

/* Images [first, first + count). */
static int pass(const reconstruct_settings *s, const opened_model *m, int64_t first, int64_t count,
                round_trip *r) {
  int64_t dims = r->there.dims;
  int code = sample_batch_read(&r->in, m->workspace, first, count, (uint64_t)s->seed,
                               (uint64_t)first * (uint64_t)dims);
  if (code == TOOL_FINE)
    code = rows_forward(&r->there, first, r->in.x, r->in.labels, count, GLOW_LATENTS_RAW,
                        r->latents, NULL, NULL);
  if (code == TOOL_FINE) /* latents that are not finite come back so */
    code = rows_inverse(&r->back_again, first, r->latents, GLOW_LATENTS_RAW, r->in.labels, count,
                        r->back, NULL);
  for (int64_t i = 0; i < count && code == TOOL_FINE; i++) {
    glow_status status = finish_image(m, r, i, r->pairs + 2 * (first + i) * dims);
    code = status == GLOW_OK ? TOOL_FINE : complain_status(status, "reconstructing");
  }
  return code;
}

static void print(const reconstruct_settings *s, const opened_model *m, const round_trip *r,
                  int64_t count) {
  double pixels = (double)(count - r->back_again.tally.bad) * (double)glow_model_dims(m->model);
  double largest = pixels > 0.0 ? r->largest * 256.0 : (double)NAN;
  double mean = pixels > 0.0 ? r->sum / pixels * 256.0 : (double)NAN;
  if (!s->json) {
    printf("%lld images: largest error %.3g, mean %.3g of a step of 1/256; %lld of %.0f pixel "
           "values changed\n",
           (long long)count, largest, mean, (long long)r->changed, pixels);
    return;
  }
  json_writer json = {stdout, false};
  put_open(&json, NULL, '{');
  put_text(&json, "model", s->model);
  put_int(&json, "images", count);
  put_int(&json, "nonfinite", r->back_again.tally.bad);
  put_real(&json, "max_error", largest);
  put_real(&json, "mean_error", mean);
  put_int(&json, "changed_values", r->changed);
  put_text(&json, "out", s->out);
  put_close(&json, '}');
  putchar('\n');
}

static int finish(const reconstruct_settings *s, const opened_model *m, const round_trip *r,
                  int64_t count) {
  char error[1024] = "";
  int64_t columns = s->columns < count ? s->columns : count;
  if (!picture_write_grid(s->out, 2 * count, m->shape.height, m->shape.width, m->shape.channels,
                          2 * columns, r->pairs, error, sizeof error))
    return complain_failure(error, errno);
  print(s, m, r, count);
  return tally_tell(&r->back_again.tally, "images",
                    "they are black, and left out of the differences: the model does not invert on "
                    "them",
                    s->strict);
}

static int run(const reconstruct_settings *s, const opened_model *m, const sample_set *set) {
  round_trip r = {0};
  int64_t dims = glow_model_dims(m->model), count = set->count < s->count ? set->count : s->count;
  size_t floats = (size_t)m->batch * (size_t)dims * sizeof(float);
  int code = sample_batch_open(&r.in, m->model, set, m->batch);
  if (code == TOOL_FINE)
    code = rows_open(&r.there, m->workspace, m->model, m->batch);
  if (code == TOOL_FINE)
    code = rows_open(&r.back_again, m->workspace, m->model, m->batch);
  r.latents = malloc(floats);
  r.back = malloc(floats);
  r.pairs = malloc(2 * (size_t)count * (size_t)dims);
  if (code == TOOL_FINE && !(r.latents && r.back && r.pairs)) {
    complain("out of memory for %lld images", (long long)count);
    code = TOOL_FAILED;
  }
  for (int64_t first = 0; first < count && code == TOOL_FINE; first += m->batch)
    code = pass(s, m, first, count - first < m->batch ? count - first : m->batch, &r);
  if (code == TOOL_FINE)
    code = finish(s, m, &r, count);
  rows_close(&r.there);
  rows_close(&r.back_again);
  sample_batch_close(&r.in, m->workspace);
  free(r.latents);
  free(r.back);
  free(r.pairs);
  return code;
}

static int reconstruct(void *settings, opened_model *m) {
  reconstruct_settings *s = settings;
  sample_set set;
  int code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, s->batch);
  if (code == TOOL_FINE)
    code = check_picture(m);
  if (code == TOOL_FINE)
    code = check_labels_file(m, &s->source.labels);
  if (code != TOOL_FINE)
    return code;
  code = open_for_model(m->model, s->model, &s->source, s->count, (uint64_t)s->shapes_seed, &set);
  if (code != TOOL_FINE)
    return code;
  code = run(s, m, &set);
  data_free(&set);
  return code;
}

int command_reconstruct(int argc, char **argv) {
  reconstruct_settings settings;
  return run_on_model(argc, argv, &reconstruct_table, &settings, reconstruct);
}
