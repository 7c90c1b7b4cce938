/* glowtool attribute: a direction of the latent space, from images with an attribute and images
 * without it, and images moved along it (Kingma and Dhariwal 2018, section 5.3 and figure 6):
 * direction = mean z with the attribute - mean z without it. SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "data_rows.h"
#include "files.h"
#include "latents.h"
#include "numbers.h"
#include "picture.h"
#include "score.h"

typedef struct attribute_settings {
  const char *model, *amounts, *out, *kernels, *save, *direction;
  sample_source with, without, data;
  int64_t with_class, without_class, images, rows, seed, batch, threads, products, max_memory;
  bool strict;
} attribute_settings;

#define FIELD(name) offsetof(attribute_settings, name)

static const option_row rows[] = {
    HEADING("Direction"),
    LIST("with", with.paths, "images that have the attribute"),
    LIST("without", without.paths, "images that do not"),
    INT("with-class", with_class, "-1", -1, INT32_MAX, "only this class of --with; -1: all"),
    INT("without-class", without_class, "-1", -1, INT32_MAX,
        "only this class of --without; -1: all"),
    TEXT("format", "NAME", with.form.format, "auto", DATA_FORMAT_HELP),
    LIST("with-labels", with.labels, "labels of --with"),
    LIST("without-labels", without.labels, "labels of --without"),
    DATA_FORM_ROWS(with.form),
    INT("images", images, "512", 1, 1e9, "how many images of each kind to take at most"),
    OUTPUT("save", save, NULL, ".safetensors", "write the direction: a safetensors file"),
    TEXT("direction", "FILE", direction, NULL,
         "read a direction that --save wrote, instead of --with and --without"),
    HEADING("Picture"),
    LIST("data", data.paths, "images to change; default: those of --without"),
    LIST("data-labels", data.labels, "labels of --data"),
    TEXT("amounts", "X,X,...", amounts, "-1,-0.5,0,0.5,1,1.5",
         "how far to go, a column for each: 1 is the way from one mean to the other"),
    INT("rows", rows, "6", 1, 512, "images to change"),
    OUTPUT("out", out, "attribute.png", ".png", "picture to write, a PNG"),
    INT("seed", seed, "0", 0, SEED_MAX, "seed of the noise inside the bins of pixels"),
    STRICT_ROW,
    INT("batch", batch, "16", 1, 65536, "images that go through the model at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    {"with with-class with-labels without without-class without-labels images", "!direction",
     "the direction is read from the file"},
    {"with without data", "format!=shapes", "shapes are generated"},
    {"with-labels", "with", NULL},
    {"without-labels", "without", NULL},
    {"data-labels", "data", NULL},
    {"with-labels without-labels data-labels", "format!=cifar10",
     "those files hold their own labels"},
    {"with-labels without-labels data-labels", "format!=cifar100*",
     "those files hold their own labels"},
    {"skip-small", "!upsample", "small images are enlarged"},
    {NULL, NULL, NULL},
};

const option_table attribute_table = {
    .command = "attribute",
    .usage = "MODEL --with PATH ... --without PATH ... [options]",
    .about = "Finds the direction of the latent space from images without an attribute to images "
             "with it, and draws images moved along it, a row for each. Words after --with, "
             "--without and --data are paths up to the next option, so MODEL stands first.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(attribute_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- the direction --------------------------------------------------------------------------- */

static int load_class(const attribute_settings *s, const opened_model *m,
                      const sample_source *source, int64_t label, int64_t limit, const char *what,
                      sample_set *set) {
  int code = open_for_model(m->model, s->model, source, 0, 0, set);
  if (code != TOOL_FINE)
    return code;
  if (glow_model_class_count(m->model) && !set->labels)
    code = complain("--%s: the model has classes, and whitened latents need them: there are no "
                    "labels",
                    what);
  if (code == TOOL_FINE && label >= 0)
    code = keep_class(set, label, what);
  if (code != TOOL_FINE)
    data_free(set);
  if (set->count > limit)
    set->count = limit;
  return code;
}

static void add_latents(const float *latents, int64_t dims, double weight, double *sum) {
  for (int64_t d = 0; d < dims; d++)
    sum[d] += weight * (double)latents[d];
}

/* Adds sign * mean of the set's latents to sum [dims], of those that are finite. */
static int add_mean(const attribute_settings *s, const opened_model *m, const sample_set *set,
                    double sign, double *sum, row_tally *all) {
  int64_t dims = glow_model_dims(m->model);
  float *latents = malloc((size_t)set->count * (size_t)dims * sizeof *latents);
  if (!latents) {
    complain("out of memory for the latents of %lld images", (long long)set->count);
    return TOOL_FAILED;
  }
  row_tally tally = {0};
  int code =
      encode_images(m, set, set->count, (uint64_t)s->seed, GLOW_LATENTS_WHITENED, latents, &tally);
  double good = (double)(set->count - tally.bad);
  for (int64_t i = 0; i < set->count && code == TOOL_FINE; i++) {
    bool bad = isnan(latents[i * dims]); /* all of them are then */
    tally_row(all, i, bad);
    if (!bad)
      add_latents(latents + i * dims, dims, sign / good, sum);
  }
  free(latents);
  if (code == TOOL_FINE && tally.bad == set->count) {
    complain("no image of --%s has finite latents", sign > 0.0 ? "with" : "without");
    code = TOOL_FAILED;
  }
  return code;
}

static int find_direction(const attribute_settings *s, const opened_model *m, double *direction,
                          row_tally *tally) {
  static const char *const names[] = {"with", "without"};
  const sample_source *sources[] = {&s->with, &s->without};
  const int64_t classes[] = {s->with_class, s->without_class};
  int code = TOOL_FINE;
  for (int i = 0; i < 2 && code == TOOL_FINE; i++) {
    sample_set set;
    code = load_class(s, m, sources[i], classes[i], s->images, names[i], &set);
    if (code != TOOL_FINE)
      return code;
    code = add_mean(s, m, &set, i ? -1.0 : 1.0, direction, tally);
    if (code == TOOL_FINE)
      printf("%lld images %s\n", (long long)set.count, names[i]);
    data_free(&set);
  }
  return code;
}

static int read_direction(const attribute_settings *s, const opened_model *m, double *direction) {
  glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
  glow_tensor_file *file = NULL;
  int64_t dims = glow_model_dims(m->model);
  glow_status status = glow_tensor_file_open(m->context, s->direction, &file);
  if (status == GLOW_OK)
    status = glow_tensor_file_find(file, "direction", &t);
  int code = status == GLOW_OK ? TOOL_FINE : complain_status(status, "reading the direction");
  if (code == TOOL_FINE && (t.type != GLOW_TYPE_F32 || t.rank != 1 || t.dims[0] != dims))
    code = complain("'%s' is not a direction of %lld latents", s->direction, (long long)dims);
  for (int64_t d = 0; d < dims && code == TOOL_FINE; d++) {
    float value;
    memcpy(&value, (const char *)t.data + (size_t)d * sizeof value, sizeof value);
    direction[d] = (double)value;
    if (!isfinite(value))
      code = complain("'%s': element %lld is not finite", s->direction, (long long)d);
  }
  glow_tensor_file_close(&file);
  return code;
}

static int save_direction(const attribute_settings *s, const opened_model *m,
                          const double *direction) {
  int64_t dims = glow_model_dims(m->model);
  float *values = malloc((size_t)dims * sizeof *values);
  if (!values) {
    complain("out of memory for the direction");
    return TOOL_FAILED;
  }
  for (int64_t d = 0; d < dims; d++)
    values[d] = (float)direction[d];
  glow_file_tensor t = GLOW_FILE_TENSOR_INIT;
  t.name = "direction";
  t.type = GLOW_TYPE_F32;
  t.rank = 1;
  t.dims[0] = dims;
  t.bytes = dims * (int64_t)sizeof *values;
  t.data = values;
  glow_status status = glow_tensor_file_write(m->context, s->save, &t, 1, NULL, 0);
  free(values);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "saving the direction");
}

/* ---- the picture ----------------------------------------------------------------------------- */

typedef struct moved {
  float *latents, *row; /* [rows, dims] of the images; [columns, dims] of one */
  uint8_t *pixels;      /* [rows * columns, dims] */
  int32_t *labels;      /* [columns] */
  row_tally tally;      /* of what is drawn */
} moved;

static int move_image(const opened_model *m, const sample_set *set, const double *direction,
                      const double *amounts, int columns, int64_t image, moved *o) {
  int64_t dims = glow_model_dims(m->model);
  bool classes = glow_model_class_count(m->model) != 0;
  for (int c = 0; c < columns; c++) {
    o->labels[c] = classes ? sample_label(set, image) : 0;
    for (int64_t d = 0; d < dims; d++)
      o->row[c * dims + d] =
          (float)((double)o->latents[image * dims + d] + amounts[c] * direction[d]);
  }
  return decode_latents(m, o->row, GLOW_LATENTS_WHITENED, classes ? o->labels : NULL, columns,
                        image * columns, o->pixels + image * columns * dims, &o->tally);
}

static int draw_moved(const attribute_settings *s, const opened_model *m, const sample_set *set,
                      const double *direction, const double *amounts, int columns, moved *o) {
  char error[1024] = "";
  row_tally images = {0}; /* an image that is not finite spoils its whole row */
  int code = encode_images(m, set, set->count, (uint64_t)s->seed, GLOW_LATENTS_WHITENED, o->latents,
                           &images);
  for (int64_t i = 0; i < set->count && code == TOOL_FINE; i++)
    code = move_image(m, set, direction, amounts, columns, i, o);
  if (code == TOOL_FINE &&
      !picture_write_grid(s->out, set->count * columns, m->shape.height, m->shape.width,
                          m->shape.channels, columns, o->pixels, error, sizeof error))
    code = complain_failure(error, errno);
  return code == TOOL_FINE ? tally_tell(&o->tally, "images", "they are black", s->strict) : code;
}

static int draw(const attribute_settings *s, const opened_model *m, const double *direction,
                const double *amounts, int columns) {
  size_t dims = (size_t)glow_model_dims(m->model), room = (size_t)columns;
  const sample_source *source = s->data.paths.count ? &s->data : &s->without;
  sample_set set;
  int code = load_class(s, m, source, s->data.paths.count ? -1 : s->without_class, s->rows,
                        s->data.paths.count ? "data" : "without", &set);
  if (code != TOOL_FINE)
    return code;
  moved o = {malloc((size_t)set.count * dims * sizeof(float)),
             malloc(room * dims * sizeof(float)),
             malloc((size_t)set.count * room * dims),
             malloc(room * sizeof(int32_t)),
             {0}};
  code = TOOL_FAILED;
  if (o.latents && o.row && o.pixels && o.labels)
    code = draw_moved(s, m, &set, direction, amounts, columns, &o);
  else
    complain("out of memory for %lld rows", (long long)set.count);
  free(o.latents);
  free(o.row);
  free(o.pixels);
  free(o.labels);
  data_free(&set);
  return code;
}

/* ---- the command ----------------------------------------------------------------------------- */

static int run(const attribute_settings *s, const opened_model *m, const double *amounts,
               int columns) {
  int64_t dims = glow_model_dims(m->model);
  double *direction = calloc((size_t)dims, sizeof *direction), squares = 0.0;
  row_tally tally = {0};
  if (!direction) {
    complain("out of memory for the direction");
    return TOOL_FAILED;
  }
  int code =
      s->direction ? read_direction(s, m, direction) : find_direction(s, m, direction, &tally);
  for (int64_t d = 0; d < dims; d++)
    squares += direction[d] * direction[d];
  if (code == TOOL_FINE)
    printf("direction of length %.4g in %lld latents\n", sqrt(squares), (long long)dims);
  if (code == TOOL_FINE && s->save)
    code = save_direction(s, m, direction);
  if (code == TOOL_FINE)
    code = draw(s, m, direction, amounts, columns);
  int told = tally_tell(&tally, "images", "the means leave them out", s->strict);
  if (code == TOOL_FINE)
    code = told;
  free(direction);
  return code;
}

static int check_sources(const attribute_settings *s) {
  if (!s->direction && (!s->with.paths.count || !s->without.paths.count))
    return complain("--%s is missing: images to take the direction from",
                    s->with.paths.count ? "without" : "with");
  if (s->direction && !s->data.paths.count)
    return complain("--data is missing: images to move along the direction");
  return file_check_target(s->out);
}

static int attribute(void *settings, opened_model *m) {
  attribute_settings *s = settings;
  double amounts[MOST_NUMBERS];
  int columns;
  int code = parse_numbers("amounts", s->amounts, -100.0, 100.0, amounts, &columns);
  s->without.form = s->data.form = s->with.form;
  s->without.form.shared = s->data.form.shared = true;
  if (code == TOOL_FINE)
    code = check_sources(s);
  if (code == TOOL_FINE && s->save)
    code = file_check_target(s->save);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, s->batch);
  if (code == TOOL_FINE)
    code = check_picture(m);
  return code == TOOL_FINE ? run(s, m, amounts, columns) : code;
}

int command_attribute(int argc, char **argv) {
  attribute_settings settings;
  return run_on_model(argc, argv, &attribute_table, &settings, attribute);
}
