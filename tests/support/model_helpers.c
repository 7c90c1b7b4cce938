/* What the tests of models share. SPDX-License-Identifier: MIT */
#include "model_helpers.h"

/* ---- statuses -------------------------------------------------------------------------------- */

void helper_ok(glow_status status, const char *call, const char *file, int line) {
  if (status == GLOW_OK)
    return;
  print_error("%s\n  gave %s: %s\n", call, glow_status_name(status), glow_last_error());
  _fail(file, line);
}

void helper_refused(glow_status status, glow_status expected, const char *words, const char *call,
                    const char *file, int line) {
  if (status == expected && strstr(glow_last_error(), words))
    return;
  print_error("%s\n  gave %s: \"%s\"\n  expected %s with \"%s\"\n", call, glow_status_name(status),
              glow_last_error(), glow_status_name(expected), words);
  _fail(file, line);
}

/* ---- the build ------------------------------------------------------------------------------- */

bool helper_has_files(void) {
#ifdef GLOW_HAVE_FILES
  return true;
#else
  return false;
#endif
}

/* ---- memory ---------------------------------------------------------------------------------- */

/* The size of each block is stored before it; nobody may write behind it. */
enum { HEADER = 16, GUARD = 64, GUARDED = 0x5a };

static void *counted_alloc(size_t size, void *payload) {
  helper_memory *memory = payload;
  memory->calls++;
  if (memory->calls == memory->fail_at ||
      (memory->fail_on && memory->fail_at && memory->calls > memory->fail_at)) {
    memory->failures++;
    return NULL;
  }
  char *block = malloc(size + HEADER + GUARD);
  if (!block)
    return NULL;
  memcpy(block, &size, sizeof size);
  memset(block + HEADER + size, GUARDED, GUARD);
  memory->live++;
  memory->bytes += (int64_t)size;
  return block + HEADER;
}

static void counted_free(void *block, void *payload) {
  helper_memory *memory = payload;
  char *start = (char *)block - HEADER;
  size_t size;
  memcpy(&size, start, sizeof size);
  for (size_t i = 0; i < GUARD; i++)
    if (start[HEADER + size + i] != GUARDED)
      fail_msg("byte %zu of a block of %zu bytes was written", size + i, size);
  memory->live--;
  memory->bytes -= (int64_t)size;
  free(start);
}

glow_allocator helper_allocator(helper_memory *memory) {
  return (glow_allocator){sizeof(glow_allocator), counted_alloc, counted_free, memory};
}

void *helper_allocate(size_t bytes) {
  void *block = malloc(bytes ? bytes : 1);
  if (!block)
    fail_msg("no memory for the test");
  return block;
}

/* ---- contexts -------------------------------------------------------------------------------- */

glow_context *helper_context(uint32_t threads, const char *kernels, helper_memory *memory) {
  glow_context_options options = GLOW_CONTEXT_OPTIONS_INIT;
  glow_allocator allocator = helper_allocator(memory);
  glow_context *context = NULL;
  options.threads = threads;
  options.kernels = kernels;
  options.allocator = memory ? &allocator : NULL;
  OK(glow_context_create(&options, &context));
  return context;
}

bool helper_is_cblas(const char *kernels) {
  return strcmp(kernels, "cblas") == 0;
}

/* ---- random numbers -------------------------------------------------------------------------- */

uint64_t helper_seed(void) {
  static bool printed;
  const char *text = getenv("GLOW_TEST_SEED");
  uint64_t seed = text ? strtoull(text, NULL, 10) : 1;
  if (!printed)
    print_message("seed %llu (GLOW_TEST_SEED sets it)\n", (unsigned long long)seed);
  printed = true;
  return seed;
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t next(helper_random *random) {
  uint64_t z = random->state += 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

helper_random helper_random_of(uint64_t use) {
  helper_random random = {helper_seed() * 0x2545f4914f6cdd1du + use};
  random.state = next(&random);
  return random;
}

double helper_uniform(helper_random *random) {
  return (double)(next(random) >> 11) * 0x1p-53;
}

double helper_normal(helper_random *random) {
  double u = 1.0 - helper_uniform(random);
  return sqrt(-2.0 * log(u)) * cos(2.0 * M_PI * helper_uniform(random));
}

void helper_normals(helper_random *random, float scale, float *out, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    out[i] = scale * (float)helper_normal(random);
}

float *helper_new_normals(helper_random *random, float scale, int64_t count) {
  float *out = helper_allocate((size_t)count * sizeof *out);
  helper_normals(random, scale, out, count);
  return out;
}

void helper_perturb(glow_model *model, helper_random *random, float scale) {
  float *parameters = glow_model_parameters_mutable(model);
  for (int64_t i = 0; i < glow_model_parameter_count(model); i++)
    parameters[i] += scale * (float)helper_normal(random);
  OK(glow_model_prepare(model));
  OK(glow_model_set_initialised(model));
}

/* ---- comparing ------------------------------------------------------------------------------- */

double helper_relative(const float *a, const float *b, int64_t count) {
  double difference = 0, norm = 0;
  for (int64_t i = 0; i < count; i++) {
    difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
    norm += (double)b[i] * b[i];
  }
  return norm > 0 ? sqrt(difference / norm) : sqrt(difference);
}

double helper_typical(const float *a, const float *b, int64_t samples, int64_t size) {
  double *off = helper_allocate((size_t)samples * sizeof *off);
  for (int64_t n = 0; n < samples; n++) {
    double one = helper_relative(a + n * size, b + n * size, size);
    int64_t at = n;
    for (; at > 0 && off[at - 1] > one; at--)
      off[at] = off[at - 1];
    off[at] = one;
  }
  double median = off[samples / 2];
  free(off);
  return median;
}

bool helper_same_bits(const void *a, const void *b, int64_t elements, size_t size) {
  return memcmp(a, b, (size_t)elements * size) == 0;
}

/* ---- layers ---------------------------------------------------------------------------------- */

const helper_layer helper_layers[] = {
    {.name = "actnorm", .kind = HELPER_ACTNORM},
    {.name = "invconv", .kind = HELPER_INVCONV, .option = 0},
    {.name = "invconv lu", .kind = HELPER_INVCONV, .option = 1},
    {.name = "invconv lu, columns", .kind = HELPER_INVCONV, .option = 2},
    {.name = "reverse", .kind = HELPER_PERMUTE, .option = GLOW_PERMUTATION_REVERSE},
    {.name = "shuffle", .kind = HELPER_PERMUTE, .option = GLOW_PERMUTATION_SHUFFLE},
#define COUPLING(text, option_, scale_)                                                            \
  { .name = text, .kind = HELPER_COUPLING, .option = option_, .scale = scale_ }
#define EDGE(text, option_, scale_)                                                                \
  { .name = text, .kind = HELPER_COUPLING, .option = option_, .scale = scale_, .border = 1 }
    COUPLING("coupling sigmoid", GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID),
    COUPLING("coupling exp", GLOW_COUPLING_AFFINE, GLOW_SCALE_EXP),
    COUPLING("coupling tanh", GLOW_COUPLING_AFFINE, GLOW_SCALE_TANH),
    COUPLING("coupling sigmoid floor", GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID_FLOOR),
    COUPLING("coupling additive", GLOW_COUPLING_ADDITIVE, GLOW_SCALE_SIGMOID),
    COUPLING("coupling sigmoid, biases", -GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID),
    COUPLING("coupling exp, biases", -GLOW_COUPLING_AFFINE, GLOW_SCALE_EXP),
    COUPLING("coupling tanh, biases", -GLOW_COUPLING_AFFINE, GLOW_SCALE_TANH),
    COUPLING("coupling sigmoid floor, biases", -GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID_FLOOR),
    COUPLING("coupling additive, biases", -GLOW_COUPLING_ADDITIVE, GLOW_SCALE_SIGMOID),
    EDGE("coupling sigmoid, edge", GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID),
    EDGE("coupling additive, edge, biases", -GLOW_COUPLING_ADDITIVE, GLOW_SCALE_SIGMOID),
#undef COUPLING
#undef EDGE
#define MLP(text, option_, scale_, condition_)                                                     \
  {                                                                                                \
    .name = text, .kind = HELPER_COUPLING, .option = option_, .scale = scale_, .net = HELPER_MLP,  \
    .condition = condition_                                                                        \
  }
    MLP("coupling sigmoid, MLP", GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID, 0),
    MLP("coupling exp, MLP", GLOW_COUPLING_AFFINE, GLOW_SCALE_EXP, 0),
    MLP("coupling tanh, MLP", GLOW_COUPLING_AFFINE, GLOW_SCALE_TANH, 0),
    MLP("coupling sigmoid floor, MLP", GLOW_COUPLING_AFFINE, GLOW_SCALE_SIGMOID_FLOOR, 0),
    MLP("coupling additive, MLP", GLOW_COUPLING_ADDITIVE, GLOW_SCALE_SIGMOID, 0),
    MLP("coupling tanh, MLP with condition", GLOW_COUPLING_AFFINE, GLOW_SCALE_TANH, 3),
    MLP("coupling additive, MLP with condition", GLOW_COUPLING_ADDITIVE, GLOW_SCALE_SIGMOID, 2),
    MLP("coupling learned, MLP", GLOW_COUPLING_AFFINE, GLOW_SCALE_TANH_LEARNED, 0),
#undef MLP
#define MLP(text, scale_, mask_, invert_, condition_)                                              \
  {                                                                                                \
    .name = text, .kind = HELPER_COUPLING, .option = GLOW_COUPLING_AFFINE,                         \
    .scale = GLOW_SCALE_##scale_, .mask = GLOW_MASK_##mask_, .invert = invert_, .net = HELPER_MLP, \
    .condition = condition_                                                                        \
  }
    MLP("coupling inverted, MLP with condition", TANH, CHANNELS, 1, 3),
    MLP("coupling under a checkerboard, MLP", TANH, CHECKERBOARD, 0, 0),
    MLP("coupling under a checkerboard inverted, MLP", TANH_LEARNED, CHECKERBOARD, 1, 2),
#undef MLP
#define LISTED(text, option_, scale_, listed_, ...)                                                \
  {                                                                                                \
    .name = "coupling of " text, .kind = HELPER_COUPLING, .option = GLOW_COUPLING_##option_,       \
    .scale = GLOW_SCALE_##scale_, .mask = GLOW_MASK_INDICES, .listed = listed_, __VA_ARGS__        \
  }
    LISTED("a listed channel", AFFINE, SIGMOID, 1, .invert = 0),
    LISTED("listed channels", AFFINE, TANH_LEARNED, 3, .order = GLOW_ORDER_SCALE_SHIFT),
    LISTED("listed channels, additive", ADDITIVE, SIGMOID, 2, .net = HELPER_MLP),
    LISTED("listed channels inverted, additive", ADDITIVE, SIGMOID, 2, .invert = 1),
    LISTED("listed channels inverted, MLP with condition", AFFINE, EXP, 1, .invert = 1,
           .net = HELPER_MLP, .condition = 2),
    LISTED("no channels, MLP with condition", AFFINE, TANH_LEARNED, 0, .net = HELPER_MLP,
           .condition = 3),
    LISTED("no channels, conv with condition", AFFINE, SIGMOID, 0, .condition = 3),
    LISTED("no channels, res net with condition", ADDITIVE, SIGMOID, 0, .net = HELPER_RES_NET_PLAIN,
           .condition = 2),
#undef LISTED
    {.name = "spline coupling, MLP", .kind = HELPER_SPLINE, .option = 1, .net = HELPER_MLP},
    {.name = "spline coupling, odd, MLP", .kind = HELPER_SPLINE, .option = 2, .net = HELPER_MLP},
    {.name = "spline coupling, MLP with condition",
     .kind = HELPER_SPLINE,
     .option = 1,
     .net = HELPER_MLP,
     .condition = 3},
    {.name = "spline coupling, MLP with standardised condition",
     .kind = HELPER_SPLINE,
     .option = 1,
     .net = HELPER_MLP,
     .condition = 3,
     .standardise = 1},
    {.name = "coupling exp, conv with condition",
     .kind = HELPER_COUPLING,
     .option = GLOW_COUPLING_AFFINE,
     .scale = GLOW_SCALE_EXP,
     .even = 1,
     .condition = 3},
    {.name = "coupling tanh, conv with standardised condition",
     .kind = HELPER_COUPLING,
     .option = GLOW_COUPLING_AFFINE,
     .scale = GLOW_SCALE_TANH,
     .condition = 3,
     .standardise = 1},
    {.name = "coupling under a checkerboard, conv with condition and edge",
     .kind = HELPER_COUPLING,
     .option = GLOW_COUPLING_AFFINE,
     .scale = GLOW_SCALE_TANH,
     .mask = GLOW_MASK_CHECKERBOARD,
     .border = 1,
     .condition = 2},
    {.name = "spline coupling, conv", .kind = HELPER_SPLINE, .option = 1},
    {.name = "spline coupling, odd, conv with biases", .kind = HELPER_SPLINE, .option = -2},
    {.name = "even and odd", .kind = HELPER_PERMUTE, .option = GLOW_PERMUTATION_EVEN_ODD},
    {.name = "scaling", .kind = HELPER_SCALING},
    {.name = "flatten", .kind = HELPER_FLATTEN},
    {.name = "squeeze", .kind = HELPER_SQUEEZE, .even_hw = 1},
    {.name = "split", .kind = HELPER_SPLIT, .even = 1},
    {.name = "split, edge", .kind = HELPER_SPLIT, .even = 1, .border = 1},
    {.name = "split with a fixed prior", .kind = HELPER_SPLIT, .option = 1, .even = 1},
    {.name = "batchnorm", .kind = HELPER_BATCHNORM, .batch = 1},
    {.name = "batchnorm with a lag", .kind = HELPER_BATCHNORM, .batch = 1, .lag = 0.75},
    {.name = "logit", .kind = HELPER_LOGIT, .curved = 1},
    {.name = "standardise", .kind = HELPER_STANDARDISE},
    {.name = "prior fixed", .kind = HELPER_PRIOR, .option = 0},
    {.name = "prior learned", .kind = HELPER_PRIOR, .option = 1},
    {.name = "prior logistic", .kind = HELPER_PRIOR, .option = 1, .density = GLOW_DENSITY_LOGISTIC},
    {.name = "prior logistic classes",
     .kind = HELPER_PRIOR,
     .option = 0,
     .classes = 3,
     .density = GLOW_DENSITY_LOGISTIC},
    {.name = "prior classes", .kind = HELPER_PRIOR, .option = 0, .classes = 3},
    {.name = "prior learned classes", .kind = HELPER_PRIOR, .option = 1, .classes = 3},
    {.name = "prior spatial", .kind = HELPER_PRIOR, .option = 1, .spatial = 1},
#define CLASSES(text, learned, ...)                                                                \
  { .name = text, .kind = HELPER_PRIOR, .option = learned, .classes = 3, __VA_ARGS__ }
    CLASSES("prior spatial classes", 1, .spatial = 1),
    CLASSES("prior classes, some unknown", 0, .unlabelled = 1),
    CLASSES("prior spatial classes, some unknown", 1, .spatial = 1, .unlabelled = 1),
    CLASSES("prior classifier", 0, .classifier = 1),
    CLASSES("prior learned classifier, some unknown", 1, .classifier = 1, .unlabelled = 1),
#undef CLASSES
};
const int32_t helper_layer_count = sizeof helper_layers / sizeof *helper_layers;

#define MASKED(text, mask_, invert_)                                                               \
  COUPLING(text ", sigmoid", AFFINE, SIGMOID, mask_, invert_, SHIFT_SCALE)                         \
  , COUPLING(text ", sigmoid, scale first", AFFINE, SIGMOID, mask_, invert_, SCALE_SHIFT),         \
      COUPLING(text ", exp", AFFINE, EXP, mask_, invert_, SHIFT_SCALE),                            \
      COUPLING(text ", exp, scale first", AFFINE, EXP, mask_, invert_, SCALE_SHIFT),               \
      COUPLING(text ", tanh", AFFINE, TANH, mask_, invert_, SHIFT_SCALE),                          \
      COUPLING(text ", tanh, scale first", AFFINE, TANH, mask_, invert_, SCALE_SHIFT),             \
      COUPLING(text ", floor", AFFINE, SIGMOID_FLOOR, mask_, invert_, SHIFT_SCALE),                \
      COUPLING(text ", floor, scale first", AFFINE, SIGMOID_FLOOR, mask_, invert_, SCALE_SHIFT),   \
      COUPLING(text ", learned", AFFINE, TANH_LEARNED, mask_, invert_, SHIFT_SCALE),               \
      COUPLING(text ", learned, scale first", AFFINE, TANH_LEARNED, mask_, invert_, SCALE_SHIFT),  \
      COUPLING(text ", additive", ADDITIVE, SIGMOID, mask_, invert_, SHIFT_SCALE)
#define COUPLING(text, kind_, scale_, mask_, invert_, order_)                                      \
  {                                                                                                \
    .name = text, .kind = HELPER_COUPLING, .option = GLOW_COUPLING_##kind_,                        \
    .scale = GLOW_SCALE_##scale_, .mask = GLOW_MASK_##mask_, .invert = invert_,                    \
    .order = GLOW_ORDER_##order_, .listed = GLOW_MASK_##mask_ == GLOW_MASK_INDICES ? 2 : 0         \
  }
const helper_layer helper_couplings[] = {MASKED("channels", CHANNELS, 0),
                                         MASKED("channels inverted", CHANNELS, 1),
                                         MASKED("checkerboard", CHECKERBOARD, 0),
                                         MASKED("checkerboard inverted", CHECKERBOARD, 1),
                                         MASKED("listed", INDICES, 0),
                                         MASKED("listed inverted", INDICES, 1)};
#undef COUPLING
#undef MASKED
#define RES(text, net_, mask_, batch_, ...)                                                        \
  {                                                                                                \
    .name = text, .kind = HELPER_COUPLING, .option = GLOW_COUPLING_AFFINE,                         \
    .scale = GLOW_SCALE_TANH_LEARNED, .mask = GLOW_MASK_##mask_, .order = GLOW_ORDER_SCALE_SHIFT,  \
    .net = HELPER_RES_NET##net_, .batch = batch_, __VA_ARGS__                                      \
  }
const helper_layer helper_res_nets[] = {
    RES("res net, channels", , CHANNELS, 1),
    RES("res net, checkerboard", , CHECKERBOARD, 1),
    RES("res net without batch norm, channels", _WITHOUT_BATCH_NORM, CHANNELS, 0),
    RES("res net without batch norm, checkerboard", _WITHOUT_BATCH_NORM, CHECKERBOARD, 0),
    RES("res net without weight norm, channels", _WITHOUT_WEIGHT_NORM, CHANNELS, 1),
    RES("res net without weight norm, checkerboard", _WITHOUT_WEIGHT_NORM, CHECKERBOARD, 1),
    RES("res net with condition, channels", , CHANNELS, 1, .condition = 3),
    RES("res net with condition, checkerboard", , CHECKERBOARD, 1, .condition = 2),
    RES("res net with standardised condition, channels", , CHANNELS, 1, .condition = 3,
        .standardise = 1),
    RES("plain res net with condition, channels", _PLAIN, CHANNELS, 0, .condition = 1),
    RES("plain res net, channels", _PLAIN, CHANNELS, 0),
    RES("plain res net, checkerboard", _PLAIN, CHECKERBOARD, 0)};
#undef RES
const int32_t helper_res_net_count = sizeof helper_res_nets / sizeof *helper_res_nets;
const int32_t helper_coupling_count = sizeof helper_couplings / sizeof *helper_couplings;

/* Channels that couplings under GLOW_MASK_INDICES list: the first few of these. */
static const int32_t listed_channels[] = {2, 0, 5};

static bool coupling_fits(const helper_layer *layer, const glow_shape *shape) {
  if (layer->mask == GLOW_MASK_CHECKERBOARD)
    return shape->height * shape->width > 1;
  if (layer->mask != GLOW_MASK_INDICES)
    return shape->channels > 1;
  for (int32_t i = 0; i < layer->listed; i++)
    if (listed_channels[i] >= shape->channels)
      return false;
  return shape->channels > layer->listed;
}

bool helper_layer_fits(const helper_layer *layer, const glow_shape *shape) {
  return !(layer->kind == HELPER_COUPLING && !coupling_fits(layer, shape)) &&
         !(layer->even && shape->channels % 2) &&
         !(layer->kind == HELPER_SPLINE && shape->channels < 2 && !layer->condition) &&
         !(layer->even_hw && (shape->height % 2 || shape->width % 2));
}

static glow_status create_net(glow_context *context, const helper_layer *layer, int32_t hidden,
                              glow_net **out) {
  glow_conv_net_options conv = GLOW_CONV_NET_OPTIONS_INIT;
  glow_mlp_net_options mlp = GLOW_MLP_NET_OPTIONS_INIT;
  glow_res_net_options res = GLOW_RES_NET_OPTIONS_INIT;
  conv.hidden = mlp.hidden = res.hidden = hidden;
  conv.actnorm = layer->option > 0;
  conv.seed = mlp.seed = res.seed = 7;
  conv.border = layer->border;
  conv.condition.channels = mlp.condition.channels = res.condition.channels = layer->condition;
  conv.standardise = mlp.standardise = res.standardise = layer->standardise;
  res.blocks = 2;
  res.batch_norm = layer->net == HELPER_RES_NET || layer->net == HELPER_RES_NET_WITHOUT_WEIGHT_NORM;
  res.weight_norm = layer->net == HELPER_RES_NET || layer->net == HELPER_RES_NET_WITHOUT_BATCH_NORM;
  return layer->net == HELPER_CONV  ? glow_conv_net_create(context, &conv, out)
         : layer->net == HELPER_MLP ? glow_mlp_net_create(context, &mlp, out)
                                    : glow_res_net_create(context, &res, out);
}

static glow_status create_coupling(glow_context *context, const helper_layer *layer, int32_t hidden,
                                   glow_layer **out) {
  glow_coupling_options options = GLOW_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  options.kind = abs(layer->option);
  options.scale = layer->scale;
  options.mask = layer->mask ? layer->mask : GLOW_MASK_CHANNELS;
  options.invert = layer->invert;
  options.order = layer->order ? layer->order : GLOW_ORDER_SHIFT_SCALE;
  options.indices = layer->listed ? listed_channels : NULL;
  options.index_count = layer->listed;
  glow_status status = create_net(context, layer, hidden, &net);
  return status == GLOW_OK ? glow_coupling_create(context, &options, &net, out) : status;
}

static glow_status create_spline(glow_context *context, const helper_layer *layer, int32_t hidden,
                                 glow_layer **out) {
  glow_spline_coupling_options options = GLOW_SPLINE_COUPLING_OPTIONS_INIT;
  glow_net *net = NULL;
  options.bins = 5;
  /* Gentle values: slopes between about 1/6 and 6, so that differences are exact enough. */
  options.min_width = options.min_height = options.min_derivative = 0.1;
  options.parity = abs(layer->option) - 1;
  glow_status status = create_net(context, layer, hidden, &net);
  return status == GLOW_OK ? glow_spline_coupling_create(context, &options, &net, out) : status;
}

glow_status helper_create_layer(glow_context *context, const helper_layer *layer, int32_t hidden,
                                glow_layer **out) {
  glow_invconv_options conv = GLOW_INVCONV_OPTIONS_INIT;
  glow_permute_options permute = GLOW_PERMUTE_OPTIONS_INIT;
  glow_prior_options prior = GLOW_PRIOR_OPTIONS_INIT;
  glow_batchnorm_options batchnorm = GLOW_BATCHNORM_OPTIONS_INIT;
  glow_split_options split = GLOW_SPLIT_OPTIONS_INIT;
  *out = NULL;
  conv.lu = layer->option > 0;
  conv.columns = layer->option == 2;
  conv.seed = 3;
  permute.kind = layer->option;
  permute.seed = 4;
  prior.learned = layer->option;
  prior.classes = layer->classes;
  batchnorm.lag = layer->lag;
  prior.spatial = layer->spatial;
  prior.classifier = layer->classifier;
  split.border = layer->border;
  split.fixed = layer->option;
  if (layer->density)
    prior.density = layer->density;
  switch (layer->kind) {
  case HELPER_ACTNORM: return glow_actnorm_create(context, NULL, out);
  case HELPER_INVCONV: return glow_invconv_create(context, &conv, out);
  case HELPER_PERMUTE: return glow_permute_create(context, &permute, out);
  case HELPER_SPLINE: return create_spline(context, layer, hidden, out);
  case HELPER_SCALING: return glow_scaling_create(context, NULL, out);
  case HELPER_FLATTEN: return glow_flatten_create(context, NULL, out);
  case HELPER_COUPLING: return create_coupling(context, layer, hidden, out);
  case HELPER_SQUEEZE: return glow_squeeze_create(context, NULL, out);
  case HELPER_BATCHNORM: return glow_batchnorm_create(context, &batchnorm, out);
  case HELPER_LOGIT: return glow_logit_create(context, NULL, out);
  case HELPER_STANDARDISE: return glow_standardise_create(context, NULL, out);
  case HELPER_SPLIT: return glow_split_create(context, &split, out);
  default: return glow_prior_create(context, &prior, out);
  }
}

static glow_status add_prior(glow_context *context, glow_builder *builder) {
  glow_prior_options options = GLOW_PRIOR_OPTIONS_INIT;
  glow_layer *prior = NULL;
  options.learned = 0;
  glow_status status = glow_prior_create(context, &options, &prior);
  return status == GLOW_OK ? glow_builder_add(builder, "prior", &prior) : status;
}

glow_status helper_wrap_layer(glow_context *context, glow_layer *layer, bool with_prior,
                              const glow_shape *shape, glow_model **out) {
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  glow_builder *builder = NULL;
  options.bits = 0;
  *out = NULL;
  glow_status status = glow_builder_create(context, shape, &options, &builder);
  if (status != GLOW_OK) {
    glow_layer_destroy(&layer);
    return status;
  }
  status = glow_builder_add(builder, "layer", &layer);
  if (status == GLOW_OK && with_prior)
    status = add_prior(context, builder);
  if (status == GLOW_OK)
    return glow_builder_finish(&builder, out);
  glow_builder_destroy(&builder);
  return status;
}

glow_status helper_create_model(glow_context *context, const helper_layer *layer,
                                const glow_shape *shape, int32_t hidden, glow_model **out) {
  glow_layer *made = NULL;
  *out = NULL;
  glow_status status = helper_create_layer(context, layer, hidden, &made);
  if (status != GLOW_OK)
    return status;
  return helper_wrap_layer(context, made, layer->kind != HELPER_PRIOR, shape, out);
}

/* ---- models and workspaces ------------------------------------------------------------------- */

glow_glow_options helper_small_glow(void) {
  glow_glow_options o = GLOW_GLOW_OPTIONS_INIT;
  o.input = (glow_shape){8, 8, 2};
  o.levels = 2;
  o.depth = 2;
  o.hidden = 8;
  o.permutation = GLOW_PERMUTATION_INVCONV;
  o.seed = 5;
  return o;
}

glow_model *helper_glow(glow_context *context, const glow_glow_options *options, uint64_t use) {
  glow_glow_options o = options ? *options : helper_small_glow();
  helper_random random = helper_random_of(use);
  glow_model *model = NULL;
  OK(glow_model_create_glow(context, &o, &model));
  helper_perturb(model, &random, 0.03f);
  return model;
}

glow_workspace *helper_workspace(const glow_model *model, int64_t batch, int32_t mode) {
  glow_workspace_options options = GLOW_WORKSPACE_OPTIONS_INIT;
  glow_workspace *ws = NULL;
  options.batch = batch;
  options.mode = mode;
  OK(glow_workspace_create(model, &options, &ws));
  return ws;
}

float *helper_parameters(const glow_model *model, int64_t *count) {
  *count = glow_model_parameter_count(model);
  float *copy = helper_allocate((size_t)*count * sizeof *copy);
  memcpy(copy, glow_model_parameters(model), (size_t)*count * sizeof *copy);
  return copy;
}

/* 0: the limit is too low. */
static uint64_t bytes_of(const glow_model *model, int64_t batch, int32_t mode, uint64_t limit) {
  glow_workspace_options o = GLOW_WORKSPACE_OPTIONS_INIT;
  uint64_t bytes = 0;
  o.batch = batch;
  o.mode = mode;
  o.memory_budget = limit;
  o.drift_bound = 0;
  glow_status status = glow_workspace_plan_bytes(model, &o, &bytes);
  assert_true(status == GLOW_OK || status == GLOW_E_LIMIT);
  return status == GLOW_OK ? bytes : 0;
}

uint64_t helper_limit_of_all(const glow_model *model, int64_t batch) {
  uint64_t all = bytes_of(model, batch, GLOW_MODE_STORED, 0), low = 1, high = 1 << 30;
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    if (bytes_of(model, batch, GLOW_MODE_BUDGET, middle) == all)
      high = middle;
    else
      low = middle;
  }
  return high;
}

/* ---- passes with their options as arguments -------------------------------------------------- */

glow_status helper_forward(glow_workspace *ws, const float *x, const int32_t *labels, int64_t count,
                           int32_t form, float *latents, double *logdet, double *log_prob) {
  glow_forward_options o = GLOW_FORWARD_OPTIONS_INIT;
  o.labels = labels;
  o.form = form;
  o.latents = latents;
  o.logdet = logdet;
  o.log_prob = log_prob;
  return glow_workspace_forward(ws, x, count, &o);
}

glow_status helper_inverse(glow_workspace *ws, const float *latents, int32_t form,
                           const int32_t *labels, int64_t count, float *x, double *logdet) {
  glow_inverse_options o = GLOW_INVERSE_OPTIONS_INIT;
  o.labels = labels;
  o.form = form;
  o.logdet = logdet;
  return glow_workspace_inverse(ws, latents, count, &o, x);
}

glow_status helper_sample(glow_workspace *ws, const glow_sample_options *options,
                          const int32_t *labels, int64_t count, float *x) {
  glow_sample_options o = GLOW_SAMPLE_OPTIONS_INIT;
  if (options)
    o = *options;
  o.labels = labels;
  return glow_workspace_sample(ws, count, &o, x);
}

glow_status helper_run(glow_trainer *trainer, int64_t steps, int64_t batch, glow_next_fn batches,
                       void *payload) {
  glow_run_options o = GLOW_RUN_OPTIONS_INIT;
  o.steps = steps;
  o.batch = batch;
  o.next = batches;
  o.next_payload = payload;
  return glow_trainer_run(trainer, &o, NULL);
}

glow_status helper_step(glow_trainer *trainer, const float *x, const int32_t *labels,
                        const float *condition, int64_t conditions, int64_t count) {
  glow_batch b = GLOW_BATCH_INIT;
  b.count = count;
  b.x = x;
  b.labels = labels;
  b.condition = condition;
  b.condition_count = conditions;
  return glow_trainer_step_batch(trainer, &b, NULL);
}

glow_status helper_initialise(glow_trainer *trainer, const float *x, const float *condition,
                              int64_t count) {
  glow_batch b = GLOW_BATCH_INIT;
  b.count = count;
  b.x = x;
  b.condition = condition;
  b.condition_count = count;
  return glow_trainer_initialise_batch(trainer, &b);
}
