/* glowtool interpolate: paths between images through the latent space (Kingma and Dhariwal 2018,
 * figure 5). SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "data_rows.h"
#include "files.h"
#include "latents.h"
#include "picture.h"

enum { PATH_LINEAR = 1, PATH_SPHERICAL = 2 };
static const option_choice paths[] = {
    {"linear", PATH_LINEAR}, {"spherical", PATH_SPHERICAL}, {NULL, 0}};

typedef struct interpolate_settings {
  const char *model, *out, *kernels;
  sample_source source;
  int64_t rows, columns, path, shapes_seed, seed, batch, threads, products, max_memory;
  bool strict;
} interpolate_settings;

#define FIELD(name) offsetof(interpolate_settings, name)

static const option_row rows[] = {
    SAMPLE_DATA_ROWS,
    INT("rows", rows, "6", 1, 512, "pairs: images 1 and 2, 3 and 4, ..."),
    INT("columns", columns, "9", 3, 256, "images from one end to the other"),
    CHOICE("path", path, "linear", paths,
           "linear, or spherical: along an arc, at the length that latents have"),
    OUTPUT("out", out, "interpolation.png", ".png", "picture to write, a PNG"),
    STRICT_ROW,
    SAMPLE_RUN_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    SAMPLE_DATA_RULES,
    GENERATED_RULE,
    {NULL, NULL, NULL},
};

const option_table interpolate_table = {
    .command = "interpolate",
    .usage = "MODEL --data PATH ... [options]",
    .about =
        "Takes pairs of images to their latents and draws what lies between them, a row for "
        "each pair. The ends are the images themselves. Words after --data are paths up to the "
        "next option, so MODEL stands first.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(interpolate_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- a path ---------------------------------------------------------------------------------- */

/* Weights of the ends at t. Spherical: sin((1-t) angle) / sin(angle) and sin(t angle) / sin(angle)
 * (Shoemake 1985), which for ends of one direction is linear. */
static void weights_at(int64_t path, double angle, double t, double *a, double *b) {
  bool flat = path == PATH_LINEAR || sin(angle) < 1e-6;
  *a = flat ? 1.0 - t : sin((1.0 - t) * angle) / sin(angle);
  *b = flat ? t : sin(t * angle) / sin(angle);
}

static double angle_between(const float *a, const float *b, int64_t dims) {
  double dot = 0.0, aa = 0.0, bb = 0.0;
  for (int64_t d = 0; d < dims; d++) {
    dot += (double)a[d] * (double)b[d];
    aa += (double)a[d] * (double)a[d];
    bb += (double)b[d] * (double)b[d];
  }
  double cosine = dot / sqrt(aa * bb);
  return acos(fmax(-1.0, fmin(1.0, cosine)));
}

/* out: [columns, dims] */
static void fill_row(const interpolate_settings *s, const float *ends, int64_t dims, float *out) {
  double angle = angle_between(ends, ends + dims, dims);
  for (int64_t c = 0; c < s->columns; c++) {
    double a, b;
    weights_at(s->path, angle, (double)c / (double)(s->columns - 1), &a, &b);
    for (int64_t d = 0; d < dims; d++)
      out[c * dims + d] = (float)(a * (double)ends[d] + b * (double)ends[dims + d]);
  }
}

/* ---- the command ----------------------------------------------------------------------------- */

typedef struct picture_row {
  float *ends, *latents; /* [2, dims] of every pair; [columns, dims] of one */
  uint8_t *pixels;       /* [rows * columns, dims] */
  int32_t *labels;       /* [columns] */
  row_tally tally;       /* of what is drawn */
} picture_row;

/* Whitened latents are relative to the prior of the image's class, which would make a path between
 * classes jump from one to the other; raw latents are the same whatever the class. */
static int32_t form_of(const opened_model *m) {
  return glow_model_class_count(m->model) ? GLOW_LATENTS_RAW : GLOW_LATENTS_WHITENED;
}

static int draw_row(const interpolate_settings *s, const opened_model *m, const sample_set *set,
                    int64_t row, picture_row *r) {
  int64_t dims = glow_model_dims(m->model);
  bool classes = glow_model_class_count(m->model) != 0;
  fill_row(s, r->ends + 2 * row * dims, dims, r->latents);
  for (int64_t c = 0; c < s->columns && classes; c++)
    r->labels[c] = sample_label(set, 2 * row + (2 * c >= s->columns));
  return decode_latents(m, r->latents, form_of(m), classes ? r->labels : NULL, s->columns,
                        row * s->columns, r->pixels + row * s->columns * dims, &r->tally);
}

static int draw(const interpolate_settings *s, const opened_model *m, const sample_set *set,
                int64_t pairs, picture_row *r) {
  char error[1024] = "";
  row_tally ends = {0}; /* an image that is not finite spoils its whole row */
  int code = encode_images(m, set, 2 * pairs, (uint64_t)s->seed, form_of(m), r->ends, &ends);
  for (int64_t row = 0; row < pairs && code == TOOL_FINE; row++)
    code = draw_row(s, m, set, row, r);
  if (code == TOOL_FINE &&
      !picture_write_grid(s->out, pairs * s->columns, m->shape.height, m->shape.width,
                          m->shape.channels, s->columns, r->pixels, error, sizeof error))
    code = complain_failure(error, errno);
  return code == TOOL_FINE ? tally_tell(&r->tally, "images", "they are black", s->strict) : code;
}

static int run(const interpolate_settings *s, const opened_model *m, const sample_set *set) {
  size_t dims = (size_t)glow_model_dims(m->model), columns = (size_t)s->columns;
  int64_t pairs = set->count / 2 < s->rows ? set->count / 2 : s->rows;
  if (!pairs)
    return complain("interpolation needs two images or more");
  picture_row r = {malloc(2 * (size_t)pairs * dims * sizeof(float)),
                   malloc(columns * dims * sizeof(float)),
                   malloc((size_t)pairs * columns * dims),
                   malloc(columns * sizeof(int32_t)),
                   {0}};
  int code = TOOL_FAILED;
  if (r.ends && r.latents && r.pixels && r.labels)
    code = draw(s, m, set, pairs, &r);
  else
    complain("out of memory for %lld rows", (long long)pairs);
  free(r.ends);
  free(r.latents);
  free(r.pixels);
  free(r.labels);
  return code;
}

static int interpolate(void *settings, opened_model *m) {
  interpolate_settings *s = settings;
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
  code =
      open_for_model(m->model, s->model, &s->source, 2 * s->rows, (uint64_t)s->shapes_seed, &set);
  if (code != TOOL_FINE)
    return code;
  code = run(s, m, &set);
  data_free(&set);
  return code;
}

int command_interpolate(int argc, char **argv) {
  interpolate_settings settings;
  return run_on_model(argc, argv, &interpolate_table, &settings, interpolate);
}
