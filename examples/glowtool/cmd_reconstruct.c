/* glowtool reconstruct: data x to latents z and back to x', and how far x' is from x.
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "files.h"
#include "image_options.h"
#include "json.h"
#include "picture.h"

typedef struct reconstruct_settings {
  const char *model, *out, *kernels;
  image_source source;
  int64_t count, columns, shapes_seed, seed, batch, threads, products;
  bool json;
} reconstruct_settings;

#define FIELD(name) offsetof(reconstruct_settings, name)

static const option_row rows[] = {
    IMAGE_DATA_ROWS,
    INT("count", count, "32", 1, 2048, "images to take, from the first on"),
    INT("columns", columns, "4", 1, 1024, "pairs in a row of the picture"),
    TEXT("out", "FILE", out, "reconstruction.png", "picture to write, a PNG"),
    FLAG("json", json, "print the result as JSON"),
    IMAGE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_table table = {
    .command = "reconstruct",
    .usage = "MODEL --data PATH ... [options]",
    .about =
        "Takes images to their latents and back. Writes a picture of pairs, the image left and "
        "its reconstruction right, and prints the largest and the mean difference, in steps of "
        "1/256 of the range of a pixel. A flow is exact: what differs is rounding. Words after "
        "--data are paths up to the next option, so MODEL stands first.",
    .rows = rows,
    .settings_size = sizeof(reconstruct_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

typedef struct round_trip {
  float *x, *latents, *back; /* [batch, dims] */
  uint8_t *pairs;            /* [2 count, dims]: image, reconstruction, image, ... */
  double largest, sum;       /* of |x' - x| */
  int64_t changed;           /* pixels that differ after rounding to bits */
} round_trip;

static void compare(const opened_model *m, round_trip *r, int64_t first, int64_t count) {
  int64_t dims = glow_model_dims(m->model);
  for (int64_t i = 0; i < count * dims; i++) {
    double error = fabs((double)r->back[i] - (double)r->x[i]);
    r->sum += error;
    r->largest = error > r->largest || isnan(error) ? error : r->largest;
  }
  for (int64_t i = 2 * first * dims; i < 2 * (first + count) * dims; i += 2 * dims)
    for (int64_t d = 0; d < dims; d++)
      r->changed += r->pairs[i + d] != r->pairs[i + dims + d];
}

/* Images [first, first + count). */
static glow_status pass(const reconstruct_settings *s, const opened_model *m, const image_set *set,
                        int64_t first, int64_t count, round_trip *r) {
  int64_t dims = glow_model_dims(m->model);
  const int32_t *labels = glow_model_class_count(m->model) ? set->labels + first : NULL;
  glow_status status =
      glow_model_dequantise(m->model, set->pixels + first * dims, count, (uint64_t)s->seed,
                            (uint64_t)first * (uint64_t)dims, r->x);
  if (status == GLOW_OK)
    status = glow_workspace_forward(
        m->workspace, r->x, count,
        &(glow_forward_options){
            .struct_size = sizeof(glow_forward_options), .labels = labels, .latents = r->latents});
  if (status == GLOW_OK)
    status = glow_workspace_inverse(
        m->workspace, r->latents, count,
        &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options), .labels = labels},
        r->back);
  for (int64_t i = 0; i < count && status == GLOW_OK; i++) {
    uint8_t *pair = r->pairs + 2 * (first + i) * dims;
    status = glow_model_quantise(m->model, r->x + i * dims, 1, pair);
    if (status == GLOW_OK)
      status = glow_model_quantise(m->model, r->back + i * dims, 1, pair + dims);
  }
  if (status == GLOW_OK)
    compare(m, r, first, count);
  return status;
}

static void print(const reconstruct_settings *s, const opened_model *m, const round_trip *r,
                  int64_t count) {
  double pixels = (double)count * (double)glow_model_dims(m->model);
  double largest = r->largest * 256.0, mean = r->sum / pixels * 256.0;
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
  if (!isfinite(r->sum)) {
    complain("the reconstruction is not finite: the model does not invert on these images");
    return TOOL_FAILED;
  }
  int64_t columns = s->columns < count ? s->columns : count;
  if (!picture_write_grid(s->out, 2 * count, m->shape.height, m->shape.width, m->shape.channels,
                          2 * columns, r->pairs, error, sizeof error))
    return complain("%s", error);
  print(s, m, r, count);
  return TOOL_FINE;
}

static int run(const reconstruct_settings *s, const opened_model *m, const image_set *set) {
  round_trip r = {0};
  int64_t dims = glow_model_dims(m->model), count = set->count < s->count ? set->count : s->count;
  size_t floats = (size_t)m->batch * (size_t)dims * sizeof(float);
  glow_status status = GLOW_OK;
  int code = TOOL_FAILED;
  r.x = malloc(floats);
  r.latents = malloc(floats);
  r.back = malloc(floats);
  r.pairs = malloc(2 * (size_t)count * (size_t)dims);
  if (r.x && r.latents && r.back && r.pairs) {
    for (int64_t first = 0; first < count && status == GLOW_OK; first += m->batch)
      status = pass(s, m, set, first, count - first < m->batch ? count - first : m->batch, &r);
    code = status == GLOW_OK ? finish(s, m, &r, count) : complain_status(status, "reconstructing");
  } else {
    complain("out of memory for %lld images", (long long)count);
  }
  free(r.x);
  free(r.latents);
  free(r.back);
  free(r.pairs);
  return code;
}

static int reconstruct(void *settings, opened_model *m) {
  reconstruct_settings *s = settings;
  image_set set;
  int code = file_check_target(s->out);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, s->batch);
  if (code == TOOL_FINE)
    code = check_picture(m);
  if (code != TOOL_FINE)
    return code;
  s->source.limit = s->count;
  s->source.seed = (uint64_t)s->shapes_seed;
  code = load_for_model(m->model, &s->source, &set);
  if (code != TOOL_FINE)
    return code;
  code = run(s, m, &set);
  data_free(&set);
  return code;
}

int command_reconstruct(int argc, char **argv) {
  reconstruct_settings settings;
  return run_on_model(argc, argv, &table, &settings, reconstruct);
}
