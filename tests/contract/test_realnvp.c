/* RealNVP: its layers, masks and widths against the paper's recipe; couplings against the paper's
 * formula, with a net of the test's own; training, the same on any number of threads; refusals.
 * SPDX-License-Identifier: MIT */
#include <unistd.h>

#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

/* ---- the recipe ------------------------------------------------------------------------------ */

/* Dinh et al. 2016, section 3.6, for two scales: three couplings under checkerboard masks, squeeze,
 * three under channel masks, half factored out; four under checkerboard masks at the last scale.
 * Each coupling is followed by batch normalisation (3.7). The mask is 1 where row + column is odd,
 * and alternates. `hidden`: feature maps double with each squeeze (code of the paper). */
typedef struct expected_layer {
  const char *name, *type, *mask;
  int invert, hidden;
} expected_layer;
#define COUPLING(name, mask, invert, hidden)                                                       \
  {name ".coupling", "coupling", mask, invert, hidden}, {                                          \
    name ".batchnorm", "batchnorm", NULL, 0, 0                                                     \
  }
static const expected_layer recipe[] = {
    {"logit", "logit", NULL, 0, 0},
    COUPLING("scale0.checkerboard0", "checkerboard", 0, 4),
    COUPLING("scale0.checkerboard1", "checkerboard", 1, 4),
    COUPLING("scale0.checkerboard2", "checkerboard", 0, 4),
    {"scale0.squeeze", "squeeze", NULL, 0, 0},
    COUPLING("scale0.channels0", "channels", 0, 8),
    COUPLING("scale0.channels1", "channels", 1, 8),
    COUPLING("scale0.channels2", "channels", 0, 8),
    {"scale0.split", "split", NULL, 0, 0},
    COUPLING("scale1.checkerboard0", "checkerboard", 0, 8),
    COUPLING("scale1.checkerboard1", "checkerboard", 1, 8),
    COUPLING("scale1.checkerboard2", "checkerboard", 0, 8),
    COUPLING("scale1.checkerboard3", "checkerboard", 1, 8),
    {"prior", "prior", NULL, 0, 0},
};
enum { LAYERS = sizeof recipe / sizeof *recipe };

static glow_realnvp_options small(void) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  o.input = (glow_shape){8, 8, 3};
  o.hidden = 4;
  o.blocks = 1;
  o.seed = 3;
  return o;
}

static glow_model *new_realnvp(glow_context *context) {
  glow_realnvp_options o = small();
  glow_model *model = NULL;
  OK(glow_model_create_realnvp(context, &o, &model));
  return model;
}

/* The architecture in the model's file, without white space. */
static char *architecture_of(glow_context *context, const glow_model *model) {
  glow_tensor_file *file = NULL;
  assert_true(temp_folder_make(NULL));
  const char *path = temp_path("model");
  OK(glow_model_save(model, path));
  OK(glow_tensor_file_open(context, path, &file));
  const char *text = glow_tensor_file_metadata(file, "glow.model");
  assert_non_null(text);
  char *copy = helper_allocate(strlen(text) + 1), *to = copy;
  for (; *text; text++)
    if (*text != ' ' && *text != '\n')
      *to++ = *text;
  *to = '\0';
  glow_tensor_file_close(&file);
  assert_true(temp_folder_remove());
  return copy;
}

/* Is `option` in the object of the layer of this name? */
static void check_option(const char *architecture, const char *layer, const char *option) {
  char key[128], object[1024] = "";
  snprintf(key, sizeof key, "\"name\":\"%s\"", layer);
  const char *at = strstr(architecture, key);
  assert_non_null(at);
  const char *end = strstr(at + strlen(key), "\"name\":");
  snprintf(object, sizeof object, "%.*s", end ? (int)(end - at) : 1000, at);
  if (!strstr(object, option))
    fail_msg("layer %s has no %s: %s", layer, option, object);
}

static void test_recipe(void **state) {
  (void)state;
  if (!helper_has_files())
    skip();
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = new_realnvp(context);
  char *architecture = architecture_of(context, model), option[64];
  assert_int_equal(glow_model_layer_count(model), LAYERS);
  for (int32_t i = 0; i < LAYERS; i++) {
    const expected_layer *e = &recipe[i];
    assert_string_equal(glow_model_layer_name(model, i), e->name);
    assert_string_equal(glow_model_layer_type(model, i), e->type);
    if (!e->mask)
      continue;
    snprintf(option, sizeof option, "\"mask\":\"%s\"", e->mask);
    check_option(architecture, e->name, option);
    snprintf(option, sizeof option, "\"invert\":%d", e->invert);
    check_option(architecture, e->name, option);
    snprintf(option, sizeof option, "\"net.hidden\":%d", e->hidden);
    check_option(architecture, e->name, option);
    check_option(architecture, e->name, "\"scale\":\"tanh_learned\"");
    check_option(architecture, e->name, "\"order\":\"scale_shift\"");
    check_option(architecture, e->name, "\"net\":\"res\"");
  }
  check_option(architecture, "logit", "\"alpha\":0.05");
  check_option(architecture, "scale0.split", "\"fixed\":1");
  check_option(architecture, "prior", "\"learned\":0");
  free(architecture);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* Half of the elements leave at each scale but the last. */
static void test_latents(void **state) {
  (void)state;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_realnvp_options o = small();
  glow_model *model = NULL;
  o.scales = 3;
  OK(glow_model_create_realnvp(context, &o, &model));
  const glow_shape shapes[] = {{4, 4, 6}, {2, 2, 12}, {2, 2, 12}};
  const int64_t offsets[] = {0, 96, 144};
  assert_int_equal(glow_model_latent_block_count(model), 3);
  for (int32_t i = 0; i < 3; i++) {
    glow_shape shape;
    int64_t offset;
    OK(glow_model_latent_block(model, i, &offset, &shape));
    assert_int_equal(offset, offsets[i]);
    assert_memory_equal(&shape, &shapes[i], sizeof shape);
  }
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- the formula ----------------------------------------------------------------------------- */

/* A net of the test's own: out_j = 0.1 (j + 1) + 0.2 s where s is the sum of the pixel's input. It
 * keeps what it saw. */
typedef struct test_net {
  int64_t image, in, out;
  float *seen; /* [image, in] of the first sample */
} test_net;

static glow_status net_configure(void *self, glow_setup *setup, const glow_shape *input,
                                 int64_t out) {
  test_net *net = self;
  (void)setup;
  net->image = input->height * input->width;
  net->in = input->channels;
  net->out = out;
  return GLOW_OK;
}

static void net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                        float *out) {
  const test_net *net = self;
  for (int64_t p = 0; p < glow_call_sample_count(call) * net->image; p++) {
    float sum = 0;
    for (int64_t j = 0; j < net->in; j++)
      sum += x[p * stride + j];
    if (p < net->image)
      memcpy(net->seen + p * net->in, x + p * stride, (size_t)net->in * sizeof *x);
    for (int64_t j = 0; j < net->out; j++)
      out[p * net->out + j] = 0.1f * (float)(j + 1) + 0.2f * sum;
  }
}

static void net_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                         const float *out, float *dout, float *dx, int64_t dx_stride) {
  (void)self, (void)call, (void)x, (void)stride, (void)out, (void)dout, (void)dx, (void)dx_stride;
}

enum { SIDE = 4, CHANNELS = 2, DIMS = SIDE * SIDE * CHANNELS };

/* Is number i, of pixel row, column, channel, one that passes? */
static bool passes(int32_t mask, int32_t invert, int64_t i) {
  int64_t channel = i % CHANNELS, column = i / CHANNELS % SIDE, row = i / CHANNELS / SIDE;
  bool m = mask == GLOW_MASK_CHECKERBOARD ? (row + column) % 2 == 1 : channel < CHANNELS / 2;
  return m != (invert == 1);
}

static void check_formula(int32_t mask, int32_t invert, int32_t order) {
  glow_context *context = helper_context(1, NULL, NULL);
  float seen[DIMS], x[DIMS], y[DIMS], k[CHANNELS] = {0.7f, -0.4f};
  double logdet, expected_logdet = 0;
  test_net self = {.seen = seen};
  const glow_net_ops ops = {.struct_size = sizeof ops,
                            .type = "test",
                            .configure = net_configure,
                            .forward = net_forward,
                            .backward = net_backward,
                            .self_size = sizeof(test_net)};
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  const glow_shape shape = {SIDE, SIDE, CHANNELS};
  helper_random random = helper_random_of(4);
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  o.mask = mask, o.invert = invert, o.order = order, o.scale = GLOW_SCALE_TANH_LEARNED;
  OK(glow_net_create(context, &ops, NULL, &net));
  *(test_net *)glow_net_self(net) = self;
  OK(glow_coupling_create(context, &o, &net, &layer));
  OK(helper_wrap_layer(context, layer, true, &shape, &model));
  int64_t changed = mask == GLOW_MASK_CHECKERBOARD ? CHANNELS : CHANNELS / 2;
  OK(glow_model_set_tensor(model, "layer.scale", k, changed));
  OK(glow_model_prepare(model));
  glow_workspace *ws = helper_workspace(model, 1, GLOW_MODE_INFERENCE);
  helper_normals(&random, 1.0f, x, DIMS);
  OK(helper_forward(ws, x, NULL, 1, GLOW_LATENTS_RAW, y, &logdet, NULL));
  for (int64_t i = 0; i < DIMS; i++) {
    int64_t pixel = i / CHANNELS, j = i % CHANNELS % changed;
    double sum = 0, expected = (double)x[i];
    for (int64_t c = pixel * CHANNELS; c < (pixel + 1) * CHANNELS; c++)
      sum += passes(mask, invert, c) ? (double)x[c] : 0.0;
    double shift = 0.1 * (double)(j + 1) + 0.2 * sum;
    double raw = 0.1 * (double)(changed + j + 1) + 0.2 * sum;
    double log_s = (double)k[j] * tanh(raw);
    if (!passes(mask, invert, i)) {
      expected = order == GLOW_ORDER_SCALE_SHIFT ? expected * exp(log_s) + shift
                                                 : (expected + shift) * exp(log_s);
      expected_logdet += log_s;
    }
    if (fabs((double)y[i] - expected) > 1e-5)
      fail_msg("mask %d %d, order %d: number %d is %g, not %g", (int)mask, (int)invert, (int)order,
               (int)i, (double)y[i], expected);
    float zero_or_x = passes(mask, invert, i) ? x[i] : 0.0f;
    if (mask == GLOW_MASK_CHECKERBOARD)
      assert_true(seen[i] == zero_or_x);
  }
  assert_true(fabs(logdet - expected_logdet) < 1e-5);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_formula(void **state) {
  (void)state;
  for (int32_t mask = GLOW_MASK_CHANNELS; mask <= GLOW_MASK_CHECKERBOARD; mask++)
    for (int32_t invert = 0; invert < 2; invert++)
      for (int32_t order = GLOW_ORDER_SHIFT_SCALE; order <= GLOW_ORDER_SCALE_SHIFT; order++)
        check_formula(mask, invert, order);
}

/* The learned scale starts at 0 under a checkerboard and at 1 under a channel mask. */
static void test_first_scale(void **state) {
  (void)state;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = new_realnvp(context);
  float scale[6];
  OK(glow_model_get_tensor(model, "scale0.checkerboard0.coupling.scale", scale, 3));
  for (int i = 0; i < 3; i++)
    assert_true(scale[i] == 0.0f);
  OK(glow_model_get_tensor(model, "scale0.channels1.coupling.scale", scale, 6));
  for (int i = 0; i < 6; i++)
    assert_true(scale[i] == 1.0f);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- training -------------------------------------------------------------------------------- */

enum { BATCH = 12, MICRO = 8, STEPS = 12, PIXELS = 8 * 8 * 3 };

/* Pictures that a model can learn: a shade and a slope of its own for each, and some noise. */
static uint8_t *new_pictures(void) {
  helper_random random = helper_random_of(5);
  uint8_t *pixels = helper_allocate(BATCH * PIXELS);
  for (int64_t n = 0; n < BATCH; n++) {
    double shade = 60 + 100 * helper_uniform(&random), slope = helper_uniform(&random);
    for (int64_t i = 0; i < PIXELS; i++)
      pixels[n * PIXELS + i] =
          (uint8_t)(shade + slope * (double)(i / 3) / 2 + 6 * helper_uniform(&random));
  }
  return pixels;
}

/* Trains from scratch; all tensors after it, the running averages too. The caller frees them. */
static float *train(uint32_t threads, int32_t mode, double *first, double *last, int64_t *count) {
  glow_context *context = helper_context(threads, NULL, NULL);
  glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
  glow_schedule schedule = GLOW_SCHEDULE_INIT;
  glow_model *model = new_realnvp(context);
  glow_trainer *trainer = NULL;
  uint8_t *pixels = new_pictures();
  schedule.rate = 5e-3;
  o.schedule = &schedule;
  o.micro_batch = MICRO;
  o.mode = mode;
  OK(glow_trainer_create(model, &o, &trainer));
  OK(glow_trainer_initialise_pixels(trainer, pixels, NULL, BATCH));
  for (int step = 0; step < STEPS; step++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    OK(glow_trainer_step_pixels(trainer, pixels, NULL, BATCH, &report));
    *(step ? last : first) = report.loss;
  }
  float *all = NULL;
  *count = 0;
  for (int32_t t = 0; t < glow_model_tensor_count(model); t++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    OK(glow_model_tensor(model, t, &info));
    all = realloc(all, (size_t)(*count + info.elements) * sizeof *all);
    assert_non_null(all);
    OK(glow_model_get_tensor(model, info.name, all + *count, info.elements));
    *count += info.elements;
  }
  free(pixels);
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return all;
}

static void test_training(void **state) {
  (void)state;
  double first, last, stored;
  int64_t count;
  float *one = train(1, GLOW_MODE_STORED, &first, &last, &count);
  stored = last;
  if (!(last < first - 0.5))
    fail_msg("bits/dim went from %g to %g", first, last);
  for (uint32_t threads = 2; threads <= 4; threads += 2) {
    float *more = train(threads, GLOW_MODE_STORED, &first, &last, &count);
    if (!helper_same_bits(one, more, count, sizeof *one))
      fail_msg("%u threads give other bits than 1", threads);
    free(more);
  }
  free(one);
  free(train(1, GLOW_MODE_RECONSTRUCTED, &first, &last, &count));
  /* Twelve steps of rounding apart. */
  if (!(fabs(last - stored) < 0.02))
    fail_msg("stored %g, reconstructed %g bits/dim", stored, last);
}

/* What the trained model is: exact to invert, with running averages. */
static void test_round_trip(void **state) {
  (void)state;
  glow_context *context = helper_context(1, NULL, NULL);
  glow_model *model = new_realnvp(context);
  glow_workspace *ws = helper_workspace(model, BATCH, GLOW_MODE_INFERENCE);
  uint8_t *pixels = new_pictures(), *again = helper_allocate(BATCH * PIXELS);
  float *x = helper_allocate(sizeof *x * BATCH * PIXELS),
        *z = helper_allocate(sizeof *z * BATCH * PIXELS);
  OK(glow_model_dequantise(model, pixels, BATCH, 1, 0, x));
  OK(glow_workspace_initialise(ws, model, x, NULL, BATCH));
  OK(helper_forward(ws, x, NULL, BATCH, GLOW_LATENTS_WHITENED, z, NULL, NULL));
  OK(helper_inverse(ws, z, GLOW_LATENTS_WHITENED, NULL, BATCH, x, NULL));
  OK(glow_model_quantise(model, x, BATCH, again));
  int different = 0; /* a pixel's noise may lie at the very end of its bin */
  for (int64_t i = 0; i < BATCH * PIXELS; i++) {
    assert_true(abs((int)pixels[i] - (int)again[i]) <= 1);
    different += pixels[i] != again[i];
  }
  assert_true(different <= 2);
  free(pixels), free(again), free(x), free(z);
  glow_workspace_destroy(&ws);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

/* ---- refusals -------------------------------------------------------------------------------- */

static void refuse_coupling(glow_context *context, int32_t mask, const glow_shape *shape,
                            const char *words) {
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  glow_model *model = NULL;
  o.mask = mask;
  OK(glow_res_net_create(context, NULL, &net));
  OK(glow_coupling_create(context, &o, &net, &layer));
  REFUSED(helper_wrap_layer(context, layer, true, shape, &model), GLOW_E_SHAPE, words);
  assert_null(model);
}

static void refuse_options(glow_context *context, int32_t mask, int32_t invert, int32_t order,
                           const char *words) {
  glow_coupling_options o = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  glow_layer *layer = NULL;
  o.mask = mask, o.invert = invert, o.order = order;
  OK(glow_res_net_create(context, NULL, &net));
  REFUSED(glow_coupling_create(context, &o, &net, &layer), GLOW_E_ARGUMENT, words);
  assert_null(net);
  assert_null(layer);
}

static void refuse_realnvp(glow_context *context, const glow_realnvp_options *o, glow_status status,
                           const char *words) {
  glow_model *model = NULL;
  REFUSED(glow_model_create_realnvp(context, o, &model), status, words);
  assert_null(model);
}

static void test_refusals(void **state) {
  (void)state;
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t before = memory.live;
  const glow_shape one = {4, 4, 1}, point = {1, 1, 4};
  refuse_coupling(context, GLOW_MASK_CHANNELS, &one, "layer 'layer'");
  refuse_coupling(context, GLOW_MASK_CHANNELS, &one, "two channels or more");
  refuse_coupling(context, GLOW_MASK_CHECKERBOARD, &point, "two pixels");
  refuse_options(context, 3, 0, GLOW_ORDER_SHIFT_SCALE, "mask is 3");
  refuse_options(context, GLOW_MASK_CHANNELS, 2, GLOW_ORDER_SHIFT_SCALE, "invert is 2");
  refuse_options(context, GLOW_MASK_CHANNELS, 0, 0, "order is 0");
  glow_realnvp_options o = small();
  o.input.height = 7;
  refuse_realnvp(context, &o, GLOW_E_SHAPE, "divisible by 2^(scales - 1) = 2");
  o = small(), o.scales = 0;
  refuse_realnvp(context, &o, GLOW_E_ARGUMENT, "scales is 0");
  o = small(), o.hidden = 65536;
  refuse_realnvp(context, &o, GLOW_E_ARGUMENT, "hidden is 65536");
  o = small(), o.blocks = 0;
  refuse_realnvp(context, &o, GLOW_E_ARGUMENT, "blocks is 0");
  o = small(), o.batch_norm = 2;
  refuse_realnvp(context, &o, GLOW_E_ARGUMENT, "batch_norm is 2");
  o = small(), o.weight_norm = -1;
  refuse_realnvp(context, &o, GLOW_E_ARGUMENT, "weight_norm is -1");
  o = small(), o.alpha = 0.5;
  refuse_realnvp(context, &o, GLOW_E_ARGUMENT, "alpha is 0.5");
  o = small(), o.bits = 9;
  refuse_realnvp(context, &o, GLOW_E_ARGUMENT, "bits is 9");
  o = small(), o.lag = 1;
  refuse_realnvp(context, &o, GLOW_E_ARGUMENT, "lag is 1");
  o = small(), o.input = (glow_shape){2, 2, 1}; /* 1 x 1 at the second scale */
  refuse_realnvp(context, &o, GLOW_E_SHAPE, "layer 'scale1.checkerboard0.coupling'");
  REFUSED(glow_model_create_realnvp(context, NULL, NULL), GLOW_E_ARGUMENT, "NULL");
  assert_int_equal(memory.live, before);
  glow_context_destroy(&context);
  assert_int_equal(memory.live, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_recipe),   cmocka_unit_test(test_latents),
      cmocka_unit_test(test_formula),  cmocka_unit_test(test_first_scale),
      cmocka_unit_test(test_training), cmocka_unit_test(test_round_trip),
      cmocka_unit_test(test_refusals)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
