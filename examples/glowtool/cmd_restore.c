/* glowtool restore: images from what is left of them. A trained model is the prior: hidden pixels,
 * noise and lost resolution become what it thinks likely (latent_energy.h).
 * SPDX-License-Identifier: MIT */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "commands.h"
#include "common.h"
#include "data_rows.h"
#include "files.h"
#include "gaussian.h"
#include "json.h"
#include "mask.h"
#include "pixel_values.h"
#include "progress.h"
#include "restore.h"
#include "restore_report.h"
#include "restore_totals.h"
#include "result_file.h"
#include "stop.h"

static const option_choice tasks[] = {
    {"inpaint", TASK_INPAINT}, {"denoise", TASK_DENOISE}, {"upscale", TASK_UPSCALE}, {NULL, 0}};
static const option_choice methods[] = {
    {"langevin", METHOD_LANGEVIN}, {"map", METHOD_MAP}, {NULL, 0}};

typedef struct restore_settings {
  const char *model, *mask, *out, *save, *kernels;
  sample_source source, fit;
  int64_t count, task, factor, label, method, steps, chains, burn_in, samples, rows, fit_images;
  int64_t shapes_seed, seed, batch, threads, products, max_memory;
  double noise, deviation, rate;
  bool observed, json, quiet, strict;
} restore_settings;

#define FIELD(name) offsetof(restore_settings, name)

static const option_row rows[] = {
    SAMPLE_DATA_ROWS,
    INT("count", count, "16", 1, 1e6, "images to restore, from the first on"),
    HEADING("What is observed of them"),
    CHOICE("task", task, "inpaint", tasks, "what is to be restored"),
    TEXT("mask", "WHAT", mask, "lower-right", MASK_HELP),
    INT("factor", factor, "2", 2, 64, "upscale: averages over so many by so many pixels are left"),
    REAL("noise", noise, "0", 0, 10, "deviation of noise that is added; pixels have a range of 1"),
    FLAG("observed", observed,
         "the data are what was observed: nothing is added, and there is nothing to compare with"),
    HEADING("Restoring"),
    CHOICE("method", method, "langevin", methods,
           "langevin: the mean of samples of what may have been; map: the most probable latents"),
    REAL("deviation", deviation, "0", 0, 10,
         "noise that what is observed is taken to have; 0: that of --noise, or 0.02 without"),
    INT("class", label, "-1", -1, INT32_MAX,
        "class of all images, for models with classes; -1: that of their labels"),
    INT("steps", steps, "100", 1, 1e6,
        "steps to the most probable latents, and to the start of each chain"),
    REAL("rate", rate, "0.1", 0, 10, "learning rate of the first of them", .above = true),
    INT("chains", chains, "16", 1, 1e6, "langevin: chains for each image"),
    INT("burn-in", burn_in, "10", 1, 1e6, "langevin: steps of a chain before its first sample"),
    INT("samples", samples, "10", 1, 1e6, "langevin: samples of each chain"),
    INT("seed", seed, "0", 0, SEED_MAX, "seed of noise and samples"),
    HEADING("Results"),
    OUTPUT("out", out, "restored.png", ".png", "picture to write, a PNG"),
    INT("rows", rows, "16", 1, 512, "images in the picture"),
    OUTPUT("save", save, NULL, RESULT_ENDINGS, "also write what was restored: a file of results"),
    LIST("fit", fit.paths,
         "images of whose mean and covariance Gaussian priors are made, to compare with: of each "
         "pixel, and of all together"),
    INT("fit-images", fit_images, "0", 0, 1e9, "use the first N of them; 0: all"),
    FLAG("json", json, "print the result as JSON"),
    FLAG("quiet", quiet, "report the result only"),
    STRICT_ROW,
    INT("batch", batch, "16", 1, 65536, "images that go through the model at a time"),
    MACHINE_ROWS,
    {.kind = OPTION_END},
};

static const option_rule rules[] = {
    SAMPLE_DATA_RULES,
    GENERATED_RULE,
    {"mask", "task=inpaint", "no pixel is missing"},
    {"factor", "task=upscale", NULL},
    {"noise", "!observed", "what is observed has its noise; say how much with --deviation"},
    {"observed", "task!=upscale", "small images have another size than the model's"},
    {"chains burn-in samples", "method=langevin", NULL},
    {"labels", "class=-1", "--class says what the images are"},
    {"fit", "format!=shapes", "shapes are generated"},
    {"fit", "format!=digits", "digits are generated"},
    {"fit-images", "fit", NULL},
    {NULL, NULL, NULL},
};

const option_table restore_table = {
    .command = "restore",
    .usage = "MODEL --data PATH ... [options]",
    .about =
        "Takes a part of images away (inpaint), adds noise (denoise) or averages pixels "
        "(upscale), restores them with the model as the prior, and prints the peak "
        "signal-to-noise against the originals. Writes a picture with a row for each image: the "
        "original, what is observed, the plainest restoration (the mean of the remaining "
        "pixels), with --fit those of Gaussian priors, that of the model, and with langevin the "
        "deviation of its samples, times 4. Words after --data are paths up to the next option, "
        "so MODEL stands first.",
    .rows = rows,
    .rules = rules,
    .settings_size = sizeof(restore_settings),
    .positional = FIELD(model),
    .positional_name = "MODEL",
};

/* ---- a run ----------------------------------------------------------------------------------- */

typedef struct restoring {
  const restore_settings *s;
  const opened_model *m;
  const sample_set *set;
  int64_t count, dims;
  observation observation;
  double deviation;
  latent_energy energy;
  restore_plan plan;
  restorer restorer;
  gaussian gaussians[WAYS]; /* of BY_PIXELS and BY_GAUSSIAN */
  glow_rng *noise;
  float *original, *y; /* [batch, dims], [batch, count of the observation] */
  float *ways[WAYS];   /* [batch, dims] */
  float *image;        /* [dims] */
  double *room;        /* [count of the observation] */
  double *ratio;       /* [batch]: signal-to-noise of the model's */
  int32_t *labels;     /* [batch], NULL without classes */
  restore_totals totals;
  row_tally tally;
  restore_picture picture;
  result_file file;
  progress progress;
  double began;
} restoring;

static bool has_spread(const restoring *r) {
  return r->s->method == METHOD_LANGEVIN;
}

/* ---- what is observed ------------------------------------------------------------------------ */

/* Image `number`'s noise is the same in any batch. */
static int add_noise(restoring *r, int64_t number, float *y) {
  const observation *o = &r->observation;
  glow_status status = glow_rng_set_position(r->noise, (uint64_t)number * (uint64_t)r->dims);
  if (status == GLOW_OK)
    status = glow_rng_normal(r->noise, r->image, o->count);
  for (int64_t k = 0; k < o->count; k++)
    y[k] += (float)(r->s->noise * (double)r->image[k]);
  return status == GLOW_OK ? TOOL_FINE : complain_status(status, "adding noise");
}

static int observe(restoring *r, int64_t first, int64_t count) {
  int code = read_values(r->set, first, count, r->original, NULL);
  for (int64_t i = 0; i < count && code == TOOL_FINE; i++) {
    float *y = r->y + i * r->observation.count;
    observation_apply(&r->observation, r->original + i * r->dims, y);
    if (r->s->noise > 0.0)
      code = add_noise(r, first + i, y);
    if (r->labels)
      r->labels[i] = r->s->label >= 0 ? (int32_t)r->s->label : sample_label(r->set, first + i);
    if (r->labels && r->labels[i] < 0)
      code = complain("image %lld has no label, and the model's latents are those of a class: give "
                      "--labels or --class",
                      (long long)(first + i));
  }
  return code;
}

/* ---- results of a batch ---------------------------------------------------------------------- */

/* Certain pixels are kept by every way to restore. */
static void keep_certain(const restoring *r, int64_t i, float *x) {
  if (r->s->noise == 0.0)
    observation_keep(&r->observation, r->y + i * r->observation.count, x);
}

static bool is_good(const restoring *r, int64_t i) {
  return r->restorer.found[i];
}

static void restore_all_ways(restoring *r, int64_t i) {
  const observation *o = &r->observation;
  const float *y = r->y + i * o->count;
  int64_t at = i * r->dims;
  observation_fill(o, y, r->ways[BY_FILLING] + at);
  for (int way = BY_PIXELS; r->s->fit.paths.count && way <= BY_GAUSSIAN; way++) {
    gaussian_restore(&r->gaussians[way], y, r->room, r->ways[way] + at);
    keep_certain(r, i, r->ways[way] + at);
  }
  memcpy(r->ways[BY_MODEL] + at, r->restorer.x + at, (size_t)r->dims * sizeof(float));
  if (is_good(r, i))
    keep_certain(r, i, r->ways[BY_MODEL] + at);
}

static void judge(restoring *r, int64_t i) {
  const float *original = r->original + i * r->dims;
  signal_to_noise alone = {0};
  r->ratio[i] = NAN;
  if (!is_good(r, i) || r->s->observed)
    return;
  for (int way = 0; way < WAYS; way++)
    if (r->ways[way])
      restore_totals_add(&r->totals, way, original, r->ways[way] + i * r->dims);
  signal_add(&alone, &r->observation, original, r->ways[BY_MODEL] + i * r->dims);
  r->ratio[i] = signal_mean(&alone);
  if (has_spread(r))
    restore_totals_add_samples(&r->totals, &r->restorer, i, original);
}

/* Deviations times 4, from black on. */
static void show_spread(restoring *r, int64_t i) {
  for (int64_t d = 0; d < r->dims; d++)
    r->image[d] = 4.0f * r->restorer.spread[i * r->dims + d] - 0.5f;
}

static void draw(restoring *r, int64_t i) {
  int64_t at = i * r->dims, column = 0;
  if (!r->s->observed)
    restore_picture_put(&r->picture, column++, r->original + at);
  observation_show(&r->observation, r->y + i * r->observation.count, r->image);
  restore_picture_put(&r->picture, column++, r->image);
  for (int way = 0; way < WAYS; way++)
    if (r->ways[way])
      restore_picture_put(&r->picture, column++, r->ways[way] + at);
  if (has_spread(r)) {
    show_spread(r, i);
    restore_picture_put(&r->picture, column, r->image);
  }
}

/* ---- the file of results --------------------------------------------------------------------- */

/* The columns, in their order; data: of the batch, for result_append. Returns how many. */
static int32_t list_results(const restoring *r, result_column columns[MOST_RESULTS],
                            const void *data[MOST_RESULTS]) {
  const glow_shape *s = &r->m->shape;
  const result_column image = {"x", GLOW_TYPE_F32, 3, {s->height, s->width, s->channels}};
  int32_t used = 0;
  columns[used] = image;
  data[used++] = r->ways[BY_MODEL];
  columns[used] = image;
  columns[used].name = "filled";
  data[used++] = r->ways[BY_FILLING];
  for (int way = BY_PIXELS; r->s->fit.paths.count && way <= BY_GAUSSIAN; way++) {
    columns[used] = image;
    columns[used].name = restore_way_keys[way];
    data[used++] = r->ways[way];
  }
  if (has_spread(r)) {
    columns[used] = image;
    columns[used].name = "deviation";
    data[used++] = r->restorer.spread;
  }
  if (!r->s->observed) {
    columns[used] = (result_column){"psnr", GLOW_TYPE_F64, 0, {0}};
    data[used++] = r->ratio;
  }
  return used;
}

static int open_file(restoring *r) {
  result_column columns[MOST_RESULTS];
  const void *data[MOST_RESULTS];
  int32_t count = list_results(r, columns, data);
  return result_open(&r->file, r->m->context, r->s->save, r->count, columns, count, r->set, NULL,
                     NULL);
}

static int append(restoring *r, int64_t count) {
  result_column columns[MOST_RESULTS];
  const void *data[MOST_RESULTS];
  list_results(r, columns, data);
  return result_append(&r->file, data, count);
}

/* ---- batches --------------------------------------------------------------------------------- */

static void tell_step(void *payload, int64_t step, int64_t steps, double energy) {
  restoring *r = payload;
  char left[32];
  int64_t first = r->restorer.first, batch = r->restorer.count;
  double share = ((double)first + (double)batch * (double)step / (double)steps) / (double)r->count;
  double seconds = (now_seconds() - r->began) * (1.0 - share) / share;
  progress_passing(&r->progress, step == steps,
                   "images %lld to %lld of %lld  step %lld/%lld  energy %.1f  %s left",
                   (long long)first, (long long)(first + batch - 1), (long long)r->count,
                   (long long)step, (long long)steps, energy, duration(seconds, left));
}

static int restore_next(restoring *r, int64_t first, int64_t count) {
  int code = observe(r, first, count);
  if (code == TOOL_FINE)
    energy_begin(&r->energy, r->y, r->labels);
  if (code == TOOL_FINE)
    code = restore_batch(&r->restorer, first, count);
  for (int64_t i = 0; i < count && code == TOOL_FINE; i++) {
    tally_row(&r->tally, first + i, !is_good(r, i));
    restore_all_ways(r, i);
    judge(r, i);
    draw(r, i);
  }
  if (code == TOOL_FINE && r->s->save)
    code = append(r, count);
  return code;
}

static int restore_all(restoring *r) {
  int code = TOOL_FINE;
  r->began = now_seconds();
  for (int64_t first = 0; first < r->count && code == TOOL_FINE; first += r->m->batch)
    code = restore_next(r, first, r->count - first < r->m->batch ? r->count - first : r->m->batch);
  return code;
}

/* ---- what it says ---------------------------------------------------------------------------- */

static void print_text(const restoring *r) {
  if (r->s->observed) {
    printf("%lld images restored: %s\n", (long long)r->count, r->s->out);
    return;
  }
  printf("peak signal-to-noise over %lld images%s, deviation %.3g: %s\n",
         (long long)r->totals.signal[BY_MODEL].images,
         r->observation.hidden ? ", where they are hidden" : "", r->deviation, r->s->out);
  restore_totals_print(&r->totals);
}

static void print_json(const restoring *r) {
  json_writer json = {stdout, false};
  put_open(&json, NULL, '{');
  put_text(&json, "model", r->s->model);
  put_text(&json, "task", options_choice_name(tasks, r->s->task));
  put_text(&json, "method", options_choice_name(methods, r->s->method));
  put_int(&json, "images", r->count);
  put_int(&json, "nonfinite", r->tally.bad);
  put_real(&json, "deviation", r->deviation);
  if (!r->s->observed)
    restore_totals_put(&r->totals, &json);
  put_text(&json, "out", r->s->out);
  put_close(&json, '}');
  putchar('\n');
}

static int finish(restoring *r) {
  int code = restore_picture_write(&r->picture, r->s->out, &r->m->shape);
  if (code == TOOL_FINE && r->s->save)
    code = result_finish(&r->file);
  if (code != TOOL_FINE)
    return code;
  if (r->s->json)
    print_json(r);
  else
    print_text(r);
  return tally_tell(&r->tally, "images", "they are black, and left out of the means", r->s->strict);
}

/* ---- the command ----------------------------------------------------------------------------- */

static int open_observation(restoring *r) {
  const glow_shape *shape = &r->m->shape;
  bool *hidden = malloc((size_t)(shape->height * shape->width) * sizeof *hidden);
  if (!hidden) {
    complain("out of memory for a mask");
    return TOOL_FAILED;
  }
  int code = r->s->task == TASK_INPAINT ? mask_read(r->s->mask, shape, hidden) : TOOL_FINE;
  if (code == TOOL_FINE)
    code = observation_open(&r->observation, r->s->task, shape, hidden, r->s->factor);
  free(hidden);
  r->deviation = r->s->deviation > 0.0 ? r->s->deviation : r->s->noise > 0.0 ? r->s->noise : 0.02;
  return code;
}

static int fit_gaussian(restoring *r) {
  sample_set set;
  if (!r->s->fit.paths.count)
    return TOOL_FINE;
  int code = open_for_model(r->m->model, r->s->model, &r->s->fit, r->s->fit_images, 0, &set);
  if (code != TOOL_FINE)
    return code;
  progress_loading(r->s->json, r->s->quiet, "fitting a Gaussian prior to %lld images",
                   (long long)set.count);
  code = gaussian_open(&r->gaussians[BY_PIXELS], &r->observation, &set, r->deviation,
                       GAUSSIAN_DIAGONAL);
  if (code == TOOL_FINE)
    code = gaussian_open(&r->gaussians[BY_GAUSSIAN], &r->observation, &set, r->deviation,
                         GAUSSIAN_WHOLE);
  data_free(&set);
  return code;
}

static int allocate(restoring *r) {
  size_t batch = (size_t)r->m->batch, dims = (size_t)r->dims, seen = (size_t)r->observation.count;
  r->original = malloc(batch * dims * sizeof(float));
  r->y = malloc(batch * seen * sizeof(float));
  r->image = malloc(dims * sizeof(float));
  r->room = malloc(seen * sizeof(double));
  r->ratio = malloc(batch * sizeof(double));
  if (glow_model_class_count(r->m->model))
    r->labels = malloc(batch * sizeof *r->labels);
  bool good = r->original && r->y && r->image && r->room && r->ratio &&
              (r->labels || !glow_model_class_count(r->m->model));
  for (int way = 0; way < WAYS; way++) {
    if ((way == BY_PIXELS || way == BY_GAUSSIAN) && !r->s->fit.paths.count)
      continue;
    r->ways[way] = malloc(batch * dims * sizeof(float));
    good &= r->ways[way] != NULL;
  }
  if (good)
    return TOOL_FINE;
  complain("out of memory for batches of %lld images", (long long)r->m->batch);
  return TOOL_FAILED;
}

static void begin_totals(restoring *r) {
  r->totals = (restore_totals){
      .observation = &r->observation, .task = r->s->task, .samples = has_spread(r)};
  for (int way = 0; way < WAYS; way++)
    r->totals.tried[way] = r->ways[way] != NULL;
}

static void make_plan(restoring *r) {
  const restore_settings *s = r->s;
  r->plan = (restore_plan){.method = s->method,
                           .deviation = r->deviation,
                           .steps = s->steps,
                           .rate = s->rate,
                           .burn_in = s->burn_in,
                           .samples = s->samples,
                           .chains = s->chains,
                           .seed = ~(uint64_t)s->seed, /* the noise has the seed itself */
                           .tell = tell_step,
                           .payload = r};
}

static int open_picture(restoring *r) {
  int64_t images = r->s->rows < r->count ? r->s->rows : r->count;
  int64_t columns = 1 + !r->s->observed + has_spread(r);
  for (int way = 0; way < WAYS; way++)
    columns += r->ways[way] != NULL;
  return restore_picture_open(&r->picture, images, columns, r->dims);
}

static int prepare(restoring *r) {
  int code = open_observation(r);
  make_plan(r);
  if (code == TOOL_FINE)
    code = fit_gaussian(r);
  if (code == TOOL_FINE)
    code = allocate(r);
  begin_totals(r);
  if (code == TOOL_FINE)
    code = energy_open(&r->energy, r->m, &r->observation);
  if (code == TOOL_FINE)
    code = restorer_open(&r->restorer, &r->energy, &r->plan);
  if (code == TOOL_FINE)
    code = open_picture(r);
  glow_status status =
      code == TOOL_FINE ? glow_rng_create(r->m->context, (uint64_t)r->s->seed, &r->noise) : GLOW_OK;
  if (status != GLOW_OK)
    code = complain_status(status, NULL);
  if (code == TOOL_FINE && r->s->save)
    code = open_file(r);
  return code;
}

static void release(restoring *r) {
  result_close(&r->file);
  restore_picture_close(&r->picture);
  restorer_close(&r->restorer);
  energy_close(&r->energy);
  gaussian_close(&r->gaussians[BY_PIXELS]);
  gaussian_close(&r->gaussians[BY_GAUSSIAN]);
  observation_close(&r->observation);
  glow_rng_destroy(&r->noise);
  for (int way = 0; way < WAYS; way++)
    free(r->ways[way]);
  free(r->original);
  free(r->y);
  free(r->image);
  free(r->room);
  free(r->ratio);
  free(r->labels);
}

static int run(const restore_settings *s, const opened_model *m, const sample_set *set) {
  restoring r = {.s = s, .m = m, .set = set, .dims = glow_model_dims(m->model)};
  r.count = set->count < s->count ? set->count : s->count;
  stop_install_writing();
  progress_open(&r.progress, NULL, 0, 1, s->json, s->quiet);
  int code = prepare(&r);
  if (code == TOOL_FINE)
    code = restore_all(&r);
  if (code == TOOL_FINE)
    code = finish(&r);
  release(&r);
  return code;
}

/* What can be said before the data are read. */
static int check_settings(const restore_settings *s, const opened_model *m) {
  if (s->task == TASK_DENOISE && s->noise == 0.0 && !s->observed)
    return complain("--noise is missing: the deviation of the noise to add and to take away again");
  if (s->task == TASK_DENOISE && s->observed && s->deviation == 0.0)
    return complain("--deviation is missing: how much noise the data have");
  if (glow_model_condition_size(m->model))
    return complain("the model takes a condition, which images do not have");
  int code = check_picture(m);
  if (code == TOOL_FINE)
    code = check_labels_file(m, &s->source.labels);
  return code == TOOL_FINE ? check_class(m, s->label) : code;
}

static int restore(void *settings, opened_model *m) {
  restore_settings *s = settings;
  sample_set set;
  s->fit.form = s->source.form;
  s->fit.form.shared = true;
  int code = file_check_target(s->out);
  if (code == TOOL_FINE && s->save)
    code = file_check_target(s->save);
  if (code == TOOL_FINE)
    code = open_model(m, s->model, s->threads, s->kernels, s->products, 0);
  if (code == TOOL_FINE)
    code = check_settings(s, m);
  m->batch = s->batch < s->count ? s->batch : s->count;
  if (code == TOOL_FINE)
    code = open_for_model(m->model, s->model, &s->source, s->count, (uint64_t)s->shapes_seed, &set);
  if (code != TOOL_FINE)
    return code;
  code = run(s, m, &set);
  data_free(&set);
  return code;
}

int command_restore(int argc, char **argv) {
  restore_settings settings;
  return run_on_model(argc, argv, &restore_table, &settings, restore);
}
