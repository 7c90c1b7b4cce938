/* glowtool attribute: a direction of the latent space, from images with an attribute and images
 * without it, and images moved along it (Kingma and Dhariwal 2018, section 5.3 and figure 6):
 * direction = mean z of the ones - mean z of the others. SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "latents.h"
#include "numbers.h"
#include "options_rows.h"
#include "picture.h"
#include "score.h"

typedef struct attribute_settings {
  const char *model, *amounts, *out, *kernels, *save, *direction;
  image_source with, without, data;
  int64_t with_class, without_class, images, rows, seed, batch, threads, products;
} attribute_settings;

#define FIELD(name) offsetof(attribute_settings, name)

static const option_row rows[] = {
    HEADING("The direction:"),
    LIST("with", with.paths, "images that have the attribute"),
    LIST("without", without.paths, "images that do not"),
    INT("with-class", with_class, "-1", -1, INT32_MAX, "only this class of --with; -1: all"),
    INT("without-class", without_class, "-1", -1, INT32_MAX,
        "only this class of --without; -1: all"),
    TEXT("format", "NAME", with.format, "auto",
         "of all images: auto, cifar10, mnist, images, raw:CxHxW"),
    TEXT("with-labels", "FILE", with.labels, NULL, "labels of --with, for mnist"),
    TEXT("without-labels", "FILE", without.labels, NULL, "labels of --without, for mnist"),
    INT("images", images, "512", 1, 1e9, "at most so many images of each kind"),
    TEXT("save", "FILE", save, NULL, "write the direction: a safetensors file"),
    TEXT("direction", "FILE", direction, NULL,
         "read a direction that --save wrote, instead of --with and --without"),
    HEADING("The picture:"),
    LIST("data", data.paths, "images to change; default: those of --without"),
    TEXT("data-labels", "FILE", data.labels, NULL, "labels of --data, for mnist"),
    TEXT("amounts", "X,X,...", amounts, "-1,-0.5,0,0.5,1,1.5",
         "a column for each: how far to go, 1 being the way from the one mean to the other"),
    INT("rows", rows, "6", 1, 512, "images to change"),
    TEXT("out", "FILE", out, "attribute.png", "picture to write, a PNG"),
    INT("seed", seed, "0", 0, SEED_MAX, "of the noise inside the bins of the pixels"),
    INT("batch", batch, "16", 1, 65536, "images passed at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

static const option_table table = {
    .command = "attribute",
    .usage = "MODEL --with PATH ... --without PATH ... [options]",
    .about = "Finds the direction of the latent space from images without an attribute to images "
             "with it, and draws images moved along it, a row for each. Words after --with, "
             "--without and --data are paths up to the next option, so MODEL stands first.",
    .rows = rows,
    .settings_size = sizeof(attribute_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- the direction --------------------------------------------------------------------------- */

static int load_class(const opened_model *m, const image_source *source, int64_t label,
                      int64_t limit, const char *what, image_set *set) {
  int code = load_for_model(m->model, source, set);
  if (code != TOOL_FINE)
    return code;
  if (label >= 0)
    code = keep_class(set, label, what);
  if (code != TOOL_FINE)
    data_free(set);
  if (set->count > limit)
    set->count = limit;
  return code;
}

/* Adds sign * mean of the set's latents to sum [dims]. */
static int add_mean(const attribute_settings *s, const opened_model *m, const image_set *set,
                    double sign, double *sum) {
  int64_t dims = glow_model_dims(m->model);
  float *latents = malloc((size_t)set->count * (size_t)dims * sizeof *latents);
  if (!latents) {
    complain("out of memory for the latents of %lld images", (long long)set->count);
    return TOOL_FAILED;
  }
  int code = encode_images(m, set, set->count, (uint64_t)s->seed, GLOW_LATENTS_WHITENED, latents);
  for (int64_t i = 0; i < set->count && code == TOOL_FINE; i++)
    for (int64_t d = 0; d < dims; d++)
      sum[d] += sign * (double)latents[i * dims + d] / (double)set->count;
  free(latents);
  return code;
}

static int find_direction(const attribute_settings *s, const opened_model *m, double *direction) {
  static const char *const names[] = {"with", "without"};
  const image_source *sources[] = {&s->with, &s->without};
  const int64_t classes[] = {s->with_class, s->without_class};
  int code = TOOL_FINE;
  for (int i = 0; i < 2 && code == TOOL_FINE; i++) {
    image_set set;
    code = load_class(m, sources[i], classes[i], s->images, names[i], &set);
    if (code != TOOL_FINE)
      return code;
    code = add_mean(s, m, &set, i ? -1.0 : 1.0, direction);
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
} moved;

static int move_image(const opened_model *m, const image_set *set, const double *direction,
                      const double *amounts, int columns, int64_t image, moved *o) {
  int64_t dims = glow_model_dims(m->model);
  bool classes = glow_model_class_count(m->model) != 0;
  for (int c = 0; c < columns; c++) {
    o->labels[c] = classes ? set->labels[image] : 0;
    for (int64_t d = 0; d < dims; d++)
      o->row[c * dims + d] =
          (float)((double)o->latents[image * dims + d] + amounts[c] * direction[d]);
  }
  return decode_latents(m, o->row, GLOW_LATENTS_WHITENED, classes ? o->labels : NULL, columns,
                        o->pixels + image * columns * dims);
}

static int draw_moved(const attribute_settings *s, const opened_model *m, const image_set *set,
                      const double *direction, const double *amounts, int columns, moved *o) {
  char error[1024] = "";
  int code =
      encode_images(m, set, set->count, (uint64_t)s->seed, GLOW_LATENTS_WHITENED, o->latents);
  for (int64_t i = 0; i < set->count && code == TOOL_FINE; i++)
    code = move_image(m, set, direction, amounts, columns, i, o);
  if (code == TOOL_FINE &&
      !picture_write_grid(s->out, set->count * columns, m->shape.height, m->shape.width,
                          m->shape.channels, columns, o->pixels, error, sizeof error))
    code = complain("%s", error);
  return code;
}

static int draw(const attribute_settings *s, const opened_model *m, const double *direction,
                const double *amounts, int columns) {
  size_t dims = (size_t)glow_model_dims(m->model), room = (size_t)columns;
  const image_source *source = s->data.paths.count ? &s->data : &s->without;
  image_set set;
  int code = load_class(m, source, s->data.paths.count ? -1 : s->without_class, s->rows,
                        s->data.paths.count ? "data" : "without", &set);
  if (code != TOOL_FINE)
    return code;
  moved o = {malloc((size_t)set.count * dims * sizeof(float)), malloc(room * dims * sizeof(float)),
             malloc((size_t)set.count * room * dims), malloc(room * sizeof(int32_t))};
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
  if (!direction) {
    complain("out of memory for the direction");
    return TOOL_FAILED;
  }
  int code = s->direction ? read_direction(s, m, direction) : find_direction(s, m, direction);
  for (int64_t d = 0; d < dims; d++)
    squares += direction[d] * direction[d];
  if (code == TOOL_FINE)
    printf("direction of length %.4g in %lld latents\n", sqrt(squares), (long long)dims);
  if (code == TOOL_FINE && s->save)
    code = save_direction(s, m, direction);
  if (code == TOOL_FINE)
    code = draw(s, m, direction, amounts, columns);
  free(direction);
  return code;
}

static int check_sources(const attribute_settings *s) {
  if (s->direction && (s->with.paths.count || s->without.paths.count))
    return complain("--direction takes the place of --with and --without");
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
  s->without.format = s->data.format = s->with.format;
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
  return run_on_model(argc, argv, &table, &settings, attribute);
}
