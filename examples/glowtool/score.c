/* bits/dim = (-log p(x) / dims + log 2^bits) / log 2, of images x with uniform noise inside their
 * bins: an upper bound on the code length of the pixels (Theis et al. 2016).
 * SPDX-License-Identifier: MIT */
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- images for a model ---------------------------------------------------------------------- */

int check_labels(const image_set *set, int32_t classes) {
  if (!classes)
    return TOOL_FINE;
  if (!set->labels)
    return complain("the model has %d classes, but the data have no labels", (int)classes);
  for (int64_t i = 0; i < set->count; i++)
    if (set->labels[i] < 0 || set->labels[i] >= classes)
      return complain("image %lld has label %d; the model's classes are 0 to %d", (long long)i,
                      (int)set->labels[i], (int)classes - 1);
  return TOOL_FINE;
}

static int check_fit(const glow_model *model, const glow_shape *wanted, const image_set *set) {
  if (set->count < 1)
    return complain("the data hold no images");
  if (set->height != wanted->height || set->width != wanted->width ||
      set->channels != wanted->channels)
    return complain("the images are %lld x %lld x %lld (height, width, channels); the model reads "
                    "%lld x %lld x %lld",
                    (long long)set->height, (long long)set->width, (long long)set->channels,
                    (long long)wanted->height, (long long)wanted->width,
                    (long long)wanted->channels);
  return check_labels(set, glow_model_class_count(model));
}

int load_for_model(const glow_model *model, const image_source *source, image_set *out) {
  char error[1024] = "";
  glow_shape shape;
  glow_model_input_shape(model, &shape);
  memset(out, 0, sizeof *out);
  if (!glow_model_bits(model))
    return complain("the model is for continuous data, not for images");
  bool generated = data_is_generated(source->format);
  if (!source->paths.count && !generated)
    return complain("--data is missing: name files, or use --format digits or shapes");
  data_options options = {
      .format = source->format,
      .size = shape.height == shape.width ? shape.height : 0,
      .channels = shape.channels == 1 || shape.channels == 3 ? shape.channels : 0,
      .limit = generated && !source->limit ? 256 : source->limit,
      .seed = source->seed,
      .labels = source->labels,
  };
  if (!data_load(source->paths.items, source->paths.count, &options, out, error, sizeof error))
    return complain("%s", error);
  int code = check_fit(model, &shape, out);
  if (code != TOOL_FINE)
    data_free(out);
  return code;
}

/* ---- scoring --------------------------------------------------------------------------------- */

typedef struct scoring {
  glow_workspace *workspace;
  const glow_model *model;
  const image_set *set;
  int64_t count, dims;
  uint64_t seed;
  float *x;         /* [batch, dims] */
  double *log_prob; /* [batch] */
  int64_t right;    /* draws that the classifier names rightly */
} scoring;

/* Of the pass that was made last. */
static int64_t count_right(const scoring *s, const int32_t *labels, int64_t count) {
  const float *logits = glow_workspace_logits(s->workspace);
  int64_t classes = glow_model_logit_count(s->model), right = 0;
  for (int64_t i = 0; logits && labels && i < count; i++, logits += classes) {
    int64_t best = 0;
    for (int64_t k = 1; k < classes; k++)
      if (logits[k] > logits[best])
        best = k;
    right += best == labels[i];
  }
  return right;
}

static int refuse_nonfinite(const scoring *s, int64_t image, const int32_t *labels, int64_t count) {
  const char *layer = NULL;
  glow_status status = glow_workspace_find_nonfinite(s->workspace, s->x, labels, count, &layer);
  if (status != GLOW_OK)
    return complain_status(status, "scoring");
  complain("the log-probability of image %lld is not finite, first at layer '%s'", (long long)image,
           layer ? layer : "?");
  return TOOL_FAILED;
}

/* Adds one draw of images [first, first + count) to bits[count]. */
static int score_batch(scoring *s, int64_t draw, int64_t first, int64_t count, double *bits) {
  const int32_t *labels =
      glow_model_class_count(s->model) && s->set->labels ? s->set->labels + first : NULL;
  uint64_t position = (uint64_t)(draw * s->count + first) * (uint64_t)s->dims;
  glow_status status = glow_model_dequantise(s->model, s->set->pixels + first * s->dims, count,
                                             s->seed, position, s->x);
  if (status == GLOW_OK)
    status = glow_workspace_log_prob(s->workspace, s->x, labels, count, s->log_prob);
  if (status != GLOW_OK)
    return complain_status(status, "scoring");
  s->right += count_right(s, labels, count);
  for (int64_t i = 0; i < count; i++) {
    if (!isfinite(s->log_prob[i]))
      return refuse_nonfinite(s, first + i, labels, count);
    bits[i] += glow_model_bits_per_dim(s->model, s->log_prob[i]);
  }
  return TOOL_FINE;
}

static void summarise(const double *bits, int64_t count, score_summary *out) {
  double mean = 0.0, squares = 0.0;
  for (int64_t i = 0; i < count; i++)
    mean += bits[i];
  mean = count ? mean / (double)count : NAN;
  for (int64_t i = 0; i < count; i++)
    squares += (bits[i] - mean) * (bits[i] - mean);
  out->images = count;
  out->mean = mean;
  out->error = count > 1 ? sqrt(squares / (double)(count - 1) / (double)count) : 0.0;
}

static int score_all(scoring *s, int64_t batch, int64_t draws, double *bits, score_summary *out) {
  int64_t first = 0;
  for (; first < s->count && !stop_wanted(); first += batch) {
    int64_t count = s->count - first < batch ? s->count - first : batch;
    for (int64_t draw = 0; draw < draws; draw++) {
      int code = score_batch(s, draw, first, count, bits + first);
      if (code != TOOL_FINE)
        return code;
    }
    for (int64_t i = 0; i < count; i++)
      bits[first + i] /= (double)draws;
  }
  summarise(bits, first < s->count ? first : s->count, out);
  bool classified = glow_model_logit_count(s->model) && s->set->labels && out->images;
  out->accuracy =
      classified ? (double)s->right / ((double)out->images * (double)draws) : (double)NAN;
  return TOOL_FINE;
}

int score_images(glow_workspace *workspace, const glow_model *model, int64_t batch,
                 const image_set *set, int64_t count, int64_t draws, uint64_t seed,
                 double *per_image, score_summary *out) {
  scoring s = {.workspace = workspace,
               .model = model,
               .set = set,
               .count = count,
               .dims = glow_model_dims(model),
               .seed = seed};
  double *bits = calloc((size_t)count, sizeof *bits);
  s.x = malloc((size_t)batch * (size_t)s.dims * sizeof *s.x);
  s.log_prob = malloc((size_t)batch * sizeof *s.log_prob);
  int code = TOOL_FAILED;
  if (bits && s.x && s.log_prob)
    code = score_all(&s, batch, draws, bits, out);
  else
    complain("out of memory for scoring");
  if (code == TOOL_FINE && per_image)
    memcpy(per_image, bits, (size_t)count * sizeof *bits);
  free(bits);
  free(s.x);
  free(s.log_prob);
  return code;
}
