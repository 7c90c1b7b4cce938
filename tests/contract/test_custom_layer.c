/* A layer of the caller's own, through the public table alone: run by samples, with a parameter,
 * saved activations, and without GLOW_LAYER_RECONSTRUCTS, so that the model's fallback inverts and
 * runs it forward again. Tables with something missing are refused. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

#include <unistd.h>

/* y = x exp(a_c tanh(b_c)) elementwise: a bounded scale for each channel; saves x to have a use
 * for it. */
typedef struct bend_options {
  size_t struct_size;
  int32_t version; /* 7 */
  int32_t reserved;
} bend_options;

typedef struct bend {
  bend_options options;
  int64_t pixels, channels;
  int32_t a, b, kept;
} bend;

static glow_status configure(void *self, glow_setup *setup, const glow_shape *in, glow_shape *out) {
  bend *s = self;
  int64_t dims[] = {in->channels};
  *out = *in;
  s->pixels = in->height * in->width;
  s->channels = in->channels;
  glow_status status = glow_setup_tensor(setup, "a", GLOW_TYPE_F32, 1, 1, dims, &s->a);
  if (status == GLOW_OK)
    status = glow_setup_tensor(setup, "b", GLOW_TYPE_F32, 1, 1, dims, &s->b);
  if (status == GLOW_OK)
    status = glow_setup_stored(setup, 0, s->pixels * s->channels, &s->kept);
  return status;
}

static glow_status reset(const void *self, const glow_call *call) {
  const bend *s = self;
  for (int64_t c = 0; c < s->channels; c++)
    ((float *)glow_call_tensor_mutable(call, s->b))[c] = 0.5f;
  return GLOW_OK;
}

static float log_scale(const bend *s, const glow_call *call, int64_t c) {
  const float *a = glow_call_tensor(call, s->a), *b = glow_call_tensor(call, s->b);
  return a[c] * tanhf(b[c]);
}

static void add_logdet(const bend *s, const glow_call *call, double sign, double *logdet) {
  double sum = 0;
  for (int64_t c = 0; c < s->channels; c++)
    sum += (double)log_scale(s, call, c) * (double)s->pixels;
  for (int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] += sign * sum;
}

static void forward(const void *self, const glow_call *call, const float *x, float *y,
                    double *logdet, double *logprior) {
  const bend *s = self;
  int64_t count = glow_call_sample_count(call) * s->pixels * s->channels;
  float *kept = glow_call_stored(call, s->kept);
  (void)logprior;
  for (int64_t i = 0; i < count; i++)
    y[i] = x[i] * expf(log_scale(s, call, i % s->channels));
  if (kept)
    memcpy(kept, x, (size_t)count * sizeof *x);
  add_logdet(s, call, 1.0, logdet);
}

static glow_status inverse(const void *self, const glow_call *call, const float *y, float *x,
                           double *logdet, double *logprior) {
  (void)logprior;
  const bend *s = self;
  int64_t count = glow_call_sample_count(call) * s->pixels * s->channels;
  for (int64_t i = 0; i < count; i++)
    x[i] = y[i] * expf(-log_scale(s, call, i % s->channels));
  add_logdet(s, call, -1.0, logdet);
  return GLOW_OK;
}

static void backward(const void *self, const glow_call *call, const glow_layer_gradient *g) {
  const bend *s = self;
  int64_t samples = glow_call_sample_count(call), size = s->pixels * s->channels;
  const float *kept = glow_call_stored(call, s->kept);
  const float *a = glow_call_tensor(call, s->a), *b = glow_call_tensor(call, s->b);
  double weight = 0;
  for (int64_t n = 0; n < samples; n++)
    weight += g->d_logdet[n] * (double)s->pixels;
  for (int64_t c = 0; c < s->channels; c++) {
    float scale = expf(log_scale(s, call, c)), t = tanhf(b[c]);
    double d = weight; /* of the log-scale */
    for (int64_t i = c; i < samples * size; i += s->channels) {
      g->dx[i] = g->dy[i] * scale;
      d += (double)(g->dx[i] * kept[i]);
    }
    glow_call_gradient(call, s->a)[c] += (float)d * t;
    glow_call_gradient(call, s->b)[c] += (float)d * a[c] * (1.0f - t * t);
  }
}

static const glow_option rows[] = {
    GLOW_OPTION(bend_options, version, INT32, .low = 7, .high = 8, .fallback = 7),
    GLOW_OPTION(bend_options, reserved, RESERVED)};
static const glow_options_table options_table = {GLOW_OPTIONS_TABLE(bend_options, rows)};

static glow_layer_ops table(void) {
  glow_layer_ops ops = {.struct_size = sizeof ops, .type = "bend"};
  ops.options = &options_table;
  ops.self_size = sizeof(bend);
  ops.configure = configure;
  ops.reset = reset;
  ops.forward = forward;
  ops.inverse = inverse;
  ops.backward = backward;
  return ops;
}

static glow_status make_bend(glow_context *context, glow_layer **out) {
  glow_layer_ops ops = table();
  return glow_layer_create(context, &ops, NULL, NULL, out);
}

/* bend between two couplings' worth of other layers, so that its neighbours are built in. */
static glow_model *make_model(glow_context *context) {
  const glow_shape shape = {6, 5, 4};
  glow_builder *builder = NULL;
  glow_model *model = NULL;
  glow_layer *layer = NULL;
  glow_net *net = NULL;
  glow_conv_net_options conv = GLOW_CONV_NET_OPTIONS_INIT;
  conv.hidden = 6;
  OK(glow_builder_create(context, &shape, NULL, &builder));
  OK(glow_invconv_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "mix", &layer));
  OK(make_bend(context, &layer));
  OK(glow_builder_add(builder, "bend", &layer));
  OK(glow_conv_net_create(context, &conv, &net));
  OK(glow_coupling_create(context, NULL, &net, &layer));
  OK(glow_builder_add(builder, "coupling", &layer));
  OK(glow_prior_create(context, NULL, &layer));
  OK(glow_builder_add(builder, "prior", &layer));
  OK(glow_builder_finish(&builder, &model));
  return model;
}

enum { COUNT = 40, DIMS = 6 * 5 * 4 };

/* Gradients of the sum of log-probabilities. */
static float *gradients(const glow_model *model, int32_t mode, const float *x, float *dx) {
  glow_workspace *ws = helper_workspace(model, COUNT, mode);
  glow_backward_options o = GLOW_BACKWARD_OPTIONS_INIT;
  double weight[COUNT];
  size_t bytes = (size_t)glow_model_parameter_count(model) * sizeof(float);
  for (int i = 0; i < COUNT; i++)
    weight[i] = 1;
  o.weight = weight;
  o.dx = dx;
  OK(helper_forward(ws, x, NULL, COUNT, GLOW_LATENTS_RAW, NULL, NULL, NULL));
  OK(glow_workspace_backward(ws, &o));
  float *result = helper_allocate(bytes);
  memcpy(result, glow_workspace_gradients(ws), bytes);
  glow_workspace_destroy(&ws);
  return result;
}

static double sum_log_prob(glow_model *model, const float *x) {
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  double log_prob[COUNT], sum = 0;
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, log_prob));
  for (int i = 0; i < COUNT; i++)
    sum += log_prob[i];
  glow_workspace_destroy(&ws);
  return sum;
}

static void test_gradients(void **state) {
  glow_context *context = helper_context(2, NULL, NULL);
  glow_model *model = make_model(context);
  helper_random random = helper_random_of(1);
  float *x = helper_new_normals(&random, 0.5f, COUNT * DIMS);
  float *dx = helper_allocate(2 * COUNT * DIMS * sizeof *dx);
  (void)state;
  helper_perturb(model, &random, 0.1f);
  float *stored = gradients(model, GLOW_MODE_STORED, x, dx);
  float *flat = gradients(model, GLOW_MODE_RECONSTRUCTED, x, dx + COUNT * DIMS);
  /* float32 rounding of the reconstructed input, through three layers */
  assert_true(helper_relative(flat, stored, glow_model_parameter_count(model)) < 1e-5);
  assert_true(helper_relative(dx + COUNT * DIMS, dx, COUNT * DIMS) < 1e-5);
  const char *names[] = {"bend.a", "bend.b"};
  for (int k = 0; k < 2; k++) {
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    float values[4], moved[4];
    OK(glow_model_find_tensor(model, names[k], &info));
    OK(glow_model_get_tensor(model, names[k], values, 4));
    for (int c = 0; c < 4; c++) {
      double sums[2];
      for (int side = 0; side < 2; side++) {
        memcpy(moved, values, sizeof moved);
        moved[c] += side ? 1e-2f : -1e-2f;
        OK(glow_model_set_tensor(model, names[k], moved, 4));
        OK(glow_model_prepare(model));
        sums[side] = sum_log_prob(model, x);
      }
      double difference = (sums[1] - sums[0]) / 2e-2, gradient = (double)stored[info.offset + c];
      /* central differences of step 1e-2 are off by its square */
      assert_true(fabs(difference - gradient) < 1e-3 * (1 + fabs(gradient)));
    }
    OK(glow_model_set_tensor(model, names[k], values, 4));
    OK(glow_model_prepare(model));
  }
  free(x);
  free(dx);
  free(stored);
  free(flat);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

static void test_training(void **state) {
  (void)state;
  for (int32_t mode = GLOW_MODE_STORED; mode <= GLOW_MODE_RECONSTRUCTED; mode++) {
    glow_context *context = helper_context(1, NULL, NULL);
    glow_model *model = make_model(context);
    glow_trainer_options o = GLOW_TRAINER_OPTIONS_INIT;
    glow_trainer *trainer = NULL;
    helper_random random = helper_random_of(2);
    float *x = helper_new_normals(&random, 0.1f, COUNT * DIMS);
    double first = 0, last = 0;
    o.mode = mode;
    OK(glow_trainer_create(model, &o, &trainer));
    OK(glow_trainer_initialise(trainer, x, NULL, COUNT));
    for (int step = 0; step < 60; step++) {
      glow_step_report report = GLOW_STEP_REPORT_INIT;
      OK(glow_trainer_step(trainer, x, NULL, COUNT, &report));
      first = step == 0 ? report.loss : first;
      last = report.loss;
    }
    assert_true(last < first - 0.05); /* bits/dim: 60 steps of 1e-3 change scales by about 6 % */
    free(x);
    glow_trainer_destroy(&trainer);
    glow_model_destroy(&model);
    glow_context_destroy(&context);
  }
}

static void test_files(void **state) {
  if (!helper_has_files())
    skip();
  glow_context *context = helper_context(1, NULL, NULL), *other = helper_context(1, NULL, NULL);
  glow_model *model = make_model(context), *loaded = NULL;
  (void)state;
  assert_true(temp_folder_make(NULL));
  const char *path = temp_path("model");
  glow_layer_ops ops = table();
  REFUSED(glow_model_save(model, path), GLOW_E_UNSUPPORTED,
          "layers of type 'bend' cannot be saved, because no file could be loaded with them: "
          "register the type first (glow_context_register_layer)");
  OK(glow_context_register_layer(context, &ops));
  OK(glow_model_save(model, path));
  REFUSED(glow_model_load(other, path, &loaded), GLOW_E_FORMAT, "'bend' is not registered");
  OK(glow_context_register_layer(other, &ops));
  REFUSED(glow_context_register_layer(other, &ops), GLOW_E_STATE, "registered already");
  OK(glow_model_load(other, path, &loaded));
  assert_memory_equal(glow_model_parameters(loaded), glow_model_parameters(model),
                      (size_t)glow_model_parameter_count(model) * sizeof(float));
  assert_true(temp_folder_remove());
  glow_model_destroy(&loaded);
  glow_model_destroy(&model);
  glow_context_destroy(&other);
  glow_context_destroy(&context);
}

/* ---- tables with faults ---------------------------------------------------------------------- */

/* Words with sizes of this machine. */
static char sized[128];
#define SIZED(...) (snprintf(sized, sizeof sized, __VA_ARGS__), sized)

/* What a refused table may name of nets: as many as are given are taken over and destroyed. */
static void refuse_with(glow_context *context, glow_layer_ops ops, const void *options,
                        glow_net **nets, const char *words) {
  glow_layer *layer = NULL;
  REFUSED(glow_layer_create(context, &ops, options, nets, &layer), GLOW_E_ARGUMENT, words);
  assert_null(layer);
}

static void refuse(glow_context *context, glow_layer_ops ops, const char *words) {
  refuse_with(context, ops, NULL, NULL, words);
}

static void test_bad_tables(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_layer_ops ops = table();
  glow_layer *layer = NULL;
  (void)state;
#define BAD(field, value, words)                                                                   \
  do {                                                                                             \
    ops = table();                                                                                 \
    ops.field = value;                                                                             \
    refuse(context, ops, words);                                                                   \
  } while (0)
  BAD(struct_size, 16, "glow_layer_ops");
  BAD(type, NULL, "no type name");
  BAD(type, "", "no type name");
  BAD(configure, NULL, "layer table of 'bend': configure is missing");
  BAD(forward, NULL, "layer table of 'bend': forward is missing");
  BAD(inverse, NULL, "layer table of 'bend': inverse is missing");
  BAD(backward, NULL, "layer table of 'bend': backward is missing");
  BAD(flags, 1u << 30, "unknown flags (0x40000000)");
  BAD(self_size, sizeof(bend_options) - 1,
      SIZED("self_size is %zu; the options alone (bend_options) take %zu", sizeof(bend_options) - 1,
            sizeof(bend_options)));
  BAD(self_size, 0,
      SIZED("self_size is 0; the options alone (bend_options) take %zu", sizeof(bend_options)));
  BAD(self_size, SIZE_MAX / 2,
      SIZED("self_size is %zu; it must be at most ", (size_t)(SIZE_MAX / 2)));
  const glow_options_table bad_options = {GLOW_OPTIONS_TABLE(bend_options, rows), .reserved = 1};
  BAD(options, &bad_options, "options table of bend_options: it needs ");
#undef BAD
  ops = table();
  ops.flags = GLOW_LAYER_INFERENCE_ONLY; /* then backward may be missing */
  ops.backward = NULL;
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  glow_layer_destroy(&layer);
  ops = table();
  REFUSED(glow_layer_create(NULL, &ops, NULL, NULL, &layer), GLOW_E_ARGUMENT, "NULL argument");
  REFUSED(glow_layer_create(context, NULL, NULL, NULL, &layer), GLOW_E_ARGUMENT, "NULL argument");
  REFUSED(glow_layer_create(context, &ops, NULL, NULL, NULL), GLOW_E_ARGUMENT, "NULL argument");
  glow_context_destroy(&context);
}

/* Options go through the table; without a table there are none. */
static void test_options(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  bend_options o = {sizeof o, 8, 0};
  glow_layer_ops ops = table();
  glow_layer *layer = NULL;
  (void)state;
  OK(glow_layer_create(context, &ops, &o, NULL, &layer));
  assert_int_equal(((const bend *)glow_layer_self(layer))->options.version, 8);
  glow_layer_destroy(&layer);
  OK(glow_layer_create(context, &ops, NULL, NULL, &layer));
  assert_int_equal(((const bend *)glow_layer_self(layer))->options.version, 7);
  glow_layer_destroy(&layer);
  o.version = 9;
  refuse_with(context, ops, &o, NULL, "bend_options: version is 9; it must be 7 or 8");
  o.version = 7;
  o.reserved = 1;
  refuse_with(context, ops, &o, NULL, "bend_options: reserved must be 0");
  ops.options = NULL;
  refuse_with(context, ops, &o, NULL, "options are given, but the type has none");
  assert_null(glow_layer_self(NULL));
  assert_null(glow_net_self(NULL));
  glow_context_destroy(&context);
}

/* ---- nets with faults ------------------------------------------------------------------------ */

static glow_status net_configure(void *self, glow_setup *setup, const glow_shape *input,
                                 int64_t out_channels) {
  (void)self, (void)setup, (void)input, (void)out_channels;
  return GLOW_OK;
}

static void net_forward(const void *self, const glow_call *call, const float *x, int64_t stride,
                        float *out) {
  (void)self, (void)call, (void)x, (void)stride, (void)out;
}

static void net_backward(const void *self, const glow_call *call, const float *x, int64_t stride,
                         const float *out, float *dout, float *dx, int64_t dx_stride) {
  (void)self, (void)call, (void)x, (void)stride, (void)out, (void)dout, (void)dx, (void)dx_stride;
}

static glow_net_ops net_table(void) {
  glow_net_ops ops = {.struct_size = sizeof ops, .type = "none"};
  ops.configure = net_configure;
  ops.forward = net_forward;
  ops.backward = net_backward;
  return ops;
}

static void refuse_net(glow_context *context, glow_net_ops ops, const char *words) {
  glow_net *net = NULL;
  REFUSED(glow_net_create(context, &ops, NULL, &net), GLOW_E_ARGUMENT, words);
  assert_null(net);
}

static void test_bad_net_tables(void **state) {
  glow_context *context = helper_context(1, NULL, NULL);
  glow_net *net = NULL;
  const bend_options o = {sizeof o, 7, 0};
  (void)state;
#define BAD(field, value, words)                                                                   \
  do {                                                                                             \
    glow_net_ops ops = net_table();                                                                \
    ops.field = value;                                                                             \
    refuse_net(context, ops, words);                                                               \
  } while (0)
  BAD(struct_size, 16, "glow_net_ops");
  BAD(type, NULL, "no type name");
  BAD(type, "", "no type name");
  BAD(configure, NULL, "net table of 'none': configure is missing");
  BAD(forward, NULL, "net table of 'none': forward is missing");
  BAD(backward, NULL, "net table of 'none': backward is missing");
  BAD(flags, 16, "unknown flags (0x10)");
  BAD(reserved, 1, "reserved must be 0");
  BAD(options, &options_table,
      SIZED("self_size is 0; the options alone (bend_options) take %zu", sizeof(bend_options)));
#undef BAD
  glow_net_ops ops = net_table();
  REFUSED(glow_net_create(context, &ops, &o, &net), GLOW_E_ARGUMENT,
          "options are given, but the type has none");
  REFUSED(glow_net_create(NULL, &ops, NULL, &net), GLOW_E_ARGUMENT, "NULL argument");
  REFUSED(glow_net_create(context, NULL, NULL, &net), GLOW_E_ARGUMENT, "NULL argument");
  REFUSED(glow_net_create(context, &ops, NULL, NULL), GLOW_E_ARGUMENT, "NULL argument");
  glow_context_destroy(&context);
}

/* ---- layers with nets ------------------------------------------------------------------------ */

static glow_layer_ops host_table(const glow_hosted_net *nets, int32_t count) {
  glow_layer_ops ops = table();
  ops.type = "host";
  ops.flags = GLOW_LAYER_BY_TASKS;
  ops.nets = nets;
  ops.net_count = count;
  return ops;
}

static void test_bad_hosts(void **state) {
  static const char long_prefix[] = "1234567890123456789012345678901234567890123456789012345678901";
  static const glow_hosted_net two[] = {{"one", NULL}, {"two", NULL}};
  static const struct {
    glow_hosted_net nets[2];
    const char *words;
  } prefixes[] = {
      {{{"one", NULL}, {NULL, NULL}}, "net 1 needs a prefix of 1 to 60 bytes without dots"},
      {{{"", NULL}, {"two", NULL}}, "net 0 needs a prefix of 1 to 60 bytes without dots"},
      {{{"one", NULL}, {"a.b", NULL}}, "net 1 needs a prefix of 1 to 60 bytes without dots"},
      {{{"one", NULL}, {long_prefix, NULL}}, "net 1 needs a prefix of 1 to 60 bytes without dots"},
      {{{"one", NULL}, {"one", NULL}}, "two nets have the prefix 'one'"}};
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory), *other = helper_context(1, NULL, NULL);
  glow_net_ops net_ops = net_table();
  int64_t live = memory.live;
  (void)state;
  refuse(context, host_table(two, -1), "layer table of 'host': -1 nets; it may host 0 to 16");
  refuse(context, host_table(two, 17), "layer table of 'host': 17 nets; it may host 0 to 16");
  refuse(context, host_table(NULL, 1), "layer table of 'host': 1 nets");
  refuse(context, host_table(two, 2), "a layer of type 'host' needs a net ('one'), which is NULL");
  glow_net *nets[2] = {NULL, NULL};
#define BAD(ops_, words_)                                                                          \
  do {                                                                                             \
    refuse_with(context, (ops_), NULL, nets, (words_));                                            \
    assert_null(nets[0]);                                                                          \
    assert_null(nets[1]);                                                                          \
    assert_int_equal(memory.live, live);                                                           \
  } while (0)
#define MAKE(context_, i_) OK(glow_net_create((context_), &net_ops, NULL, &nets[i_]))
  for (size_t i = 0; i < sizeof prefixes / sizeof *prefixes; i++) {
    MAKE(context, 0);
    MAKE(context, 1);
    BAD(host_table(prefixes[i].nets, 2), prefixes[i].words);
  }
  MAKE(context, 0);
  BAD(host_table(two, 2), "needs a net ('two'), which is NULL");
  MAKE(context, 0);
  nets[1] = nets[0];
  BAD(host_table(two, 2), "nets 'one' and 'two' are the same");
  MAKE(context, 0);
  MAKE(other, 1);
  BAD(host_table(two, 2), "net 'two' was made with another context than the layer");
  MAKE(context, 0);
  MAKE(context, 1);
  glow_layer_ops by_samples = host_table(two, 2);
  by_samples.flags = 0;
  BAD(by_samples, "layer table of 'host': a layer that hosts nets is run by tasks");
  MAKE(context, 0);
  MAKE(context, 1);
  const glow_layer_ops good = host_table(two, 2);
  glow_layer *layer = NULL;
  REFUSED(glow_layer_create(NULL, &good, NULL, nets, &layer), GLOW_E_ARGUMENT, "NULL argument");
  assert_null(nets[0]);
  assert_null(nets[1]);
  MAKE(context, 0);
  MAKE(context, 1);
  REFUSED(glow_layer_create(context, &good, NULL, nets, NULL), GLOW_E_ARGUMENT, "NULL argument");
  assert_null(nets[0]);
  assert_null(nets[1]);
  assert_int_equal(memory.live, live);
#undef BAD
#undef MAKE
  glow_context_destroy(&other);
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_gradients), cmocka_unit_test(test_training),
      cmocka_unit_test(test_files),     cmocka_unit_test(test_bad_tables),
      cmocka_unit_test(test_options),   cmocka_unit_test(test_bad_net_tables),
      cmocka_unit_test(test_bad_hosts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
