/* A caller's conditioner in the presets: it is asked for a net for each coupling, with the shapes,
 * the level, the step, a seed and the condition; the model is made of its nets, saves them and
 * loads them. SPDX-License-Identifier: MIT */
#include "../support/model_helpers.h"

enum { MOST = 64, COUNT = 3 };

/* The maker's own: an MLP of a narrow width that no preset makes. */
enum { HIDDEN = 5 };

typedef struct seen {
  int32_t count;
  glow_conditioner_request requests[MOST];
  int32_t fail_at; /* number of the request that fails, from 1; 0: none */
  bool nothing;    /* gives GLOW_OK and no net there */
} seen;

static glow_status conditioner(glow_context *context, const glow_conditioner_request *request,
                               glow_net **out, void *payload) {
  seen *s = payload;
  glow_mlp_net_options o = GLOW_MLP_NET_OPTIONS_INIT;
  assert_true(s->count < MOST);
  assert_int_equal(request->struct_size, sizeof *request);
  s->requests[s->count++] = *request;
  if (s->count == s->fail_at)
    return s->nothing ? GLOW_OK : glow_error(GLOW_E_LIMIT, "no more nets");
  o.hidden = HIDDEN;
  o.depth = 1;
  o.seed = request->seed;
  o.condition = request->condition;
  return glow_mlp_net_create(context, &o, out);
}

/* ---- the presets ----------------------------------------------------------------------------- */

static const glow_shape a_condition = {1, 1, 2};

static glow_status make_glow(glow_context *context, seen *s, glow_model **out) {
  glow_glow_options o = helper_small_glow(); /* 8 x 8 x 2, two levels of two steps */
  o.condition = a_condition;
  o.conditioner = conditioner;
  o.conditioner_payload = s;
  return glow_model_create_glow(context, &o, out);
}

static glow_status make_realnvp(glow_context *context, seen *s, glow_model **out) {
  glow_realnvp_options o = GLOW_REALNVP_OPTIONS_INIT;
  o.input = (glow_shape){8, 8, 1};
  o.condition = a_condition;
  o.conditioner = conditioner;
  o.conditioner_payload = s;
  return glow_model_create_realnvp(context, &o, out);
}

static glow_status make_nice(glow_context *context, seen *s, glow_model **out) {
  glow_nice_options o = GLOW_NICE_OPTIONS_INIT;
  o.input = (glow_shape){3, 3, 1};
  o.condition = a_condition;
  o.conditioner = conditioner;
  o.conditioner_payload = s;
  return glow_model_create_nice(context, &o, out);
}

static glow_status make_vector_flow(glow_context *context, seen *s, glow_model **out) {
  glow_vector_flow_options o = GLOW_VECTOR_FLOW_OPTIONS_INIT;
  o.dims = 3;
  o.condition = 2;
  o.steps = 2;
  o.bins = 4;
  o.conditioner = conditioner;
  o.conditioner_payload = s;
  return glow_model_create_vector_flow(context, &o, out);
}

typedef struct row {
  int32_t level, step;
  glow_shape input;
  int64_t out_channels;
} row;

typedef struct preset {
  const char *name;
  glow_status (*make)(glow_context *context, seen *s, glow_model **out);
  const char *tensor; /* of the first net */
  int32_t count;      /* of couplings, all of which are told below */
  row rows[16];
} preset;

static const preset presets[] = {
    /* 4 x 4 x 8 and 2 x 2 x 16 after squeezes; affine: two outputs for each changed channel */
    {"Glow",
     make_glow,
     "level0.step0.coupling.net.fc1.weight",
     4,
     {{0, 0, {4, 4, 4}, 8}, {0, 1, {4, 4, 4}, 8}, {1, 0, {2, 2, 8}, 16}, {1, 1, {2, 2, 8}, 16}}},
    /* checkerboards show all channels; masks of channels half of them */
    {"RealNVP",
     make_realnvp,
     "scale0.checkerboard0.coupling.net.fc1.weight",
     10,
     {{0, 0, {8, 8, 1}, 2},
      {0, 1, {8, 8, 1}, 2},
      {0, 2, {8, 8, 1}, 2},
      {0, 3, {4, 4, 2}, 4},
      {0, 4, {4, 4, 2}, 4},
      {0, 5, {4, 4, 2}, 4},
      {1, 0, {4, 4, 2}, 4},
      {1, 1, {4, 4, 2}, 4},
      {1, 2, {4, 4, 2}, 4},
      {1, 3, {4, 4, 2}, 4}}},
    /* 9 values: the additive couplings change 4 of them and see 5 */
    {"NICE",
     make_nice,
     "step0.coupling.net.fc1.weight",
     4,
     {{0, 0, {1, 1, 5}, 4}, {0, 1, {1, 1, 5}, 4}, {0, 2, {1, 1, 5}, 4}, {0, 3, {1, 1, 5}, 4}}},
    /* splines of 4 bins: 3 x 4 - 1 outputs for the one value of three that is changed */
    {"vectors",
     make_vector_flow,
     "step0.coupling.net.fc1.weight",
     2,
     {{0, 0, {1, 1, 2}, 11}, {0, 1, {1, 1, 2}, 11}}},
};
enum { PRESETS = sizeof presets / sizeof *presets };

/* ---- tests ----------------------------------------------------------------------------------- */

static void compare(const preset *p, const seen *s) {
  if (s->count != p->count)
    fail_msg("%s: %d nets, not %d", p->name, (int)s->count, (int)p->count);
  for (int i = 0; i < p->count; i++) {
    const glow_conditioner_request *r = &s->requests[i];
    const row *want = &p->rows[i];
    if (r->level != want->level || r->step != want->step || r->out_channels != want->out_channels ||
        memcmp(&r->input, &want->input, sizeof want->input) != 0)
      fail_msg("%s, net %d: level %d, step %d, %d x %d x %d -> %d", p->name, i, (int)r->level,
               (int)r->step, (int)r->input.height, (int)r->input.width, (int)r->input.channels,
               (int)r->out_channels);
    assert_memory_equal(&r->condition, &a_condition, sizeof a_condition);
    for (int j = 0; j < i; j++)
      assert_true(s->requests[j].seed != r->seed);
  }
}

static void test_requests(void **state) {
  (void)state;
  glow_context *context = helper_context(1, NULL, NULL);
  for (int i = 0; i < PRESETS; i++) {
    seen s = {0};
    glow_model *model = NULL;
    OK(presets[i].make(context, &s, &model));
    compare(&presets[i], &s);
    glow_model_destroy(&model);
  }
  glow_context_destroy(&context);
}

static void log_probs(const glow_model *model, double *out) {
  const int64_t dims = glow_model_dims(model);
  helper_random random = helper_random_of(4);
  float *x = helper_new_normals(&random, 0.1f, COUNT * dims), conditions[COUNT * 2];
  glow_workspace *ws = helper_workspace(model, COUNT, GLOW_MODE_INFERENCE);
  helper_normals(&random, 1.0f, conditions, COUNT * 2);
  OK(glow_workspace_set_condition(ws, conditions, COUNT, 2));
  OK(glow_workspace_log_prob(ws, x, NULL, COUNT, out));
  glow_workspace_destroy(&ws);
  free(x);
}

/* The nets are those that were given, in the model and in what is loaded from its file. */
static void test_nets_are_used(void **state) {
  (void)state;
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  for (int i = 0; i < PRESETS; i++) {
    seen s = {0};
    glow_model *model = NULL, *loaded = NULL;
    glow_tensor_info info = GLOW_TENSOR_INFO_INIT;
    helper_random random = helper_random_of(3);
    double want[COUNT], have[COUNT];
    void *buffer = helper_allocate(1 << 22);
    size_t bytes = 0;
    OK(presets[i].make(context, &s, &model));
    helper_perturb(model, &random, 0.1f);
    OK(glow_model_find_tensor(model, presets[i].tensor, &info));
    assert_int_equal(info.dims[0], HIDDEN);
    log_probs(model, want);
    assert_true(isfinite(want[0]) && want[0] != want[1]);
    if (helper_has_files()) {
      glow_output output = GLOW_OUTPUT_INIT;
      glow_input input = GLOW_INPUT_INIT;
      output.buffer = buffer;
      output.capacity = 1 << 22;
      output.written = &bytes;
      OK(glow_model_save_output(model, &output));
      input.data = buffer;
      input.size = (int64_t)bytes;
      OK(glow_model_load_input(context, &input, &loaded));
      assert_int_equal(s.count, presets[i].count); /* it is not asked again */
      OK(glow_model_find_tensor(loaded, presets[i].tensor, &info));
      assert_int_equal(info.dims[0], HIDDEN);
      log_probs(loaded, have);
      assert_memory_equal(have, want, sizeof want);
    }
    free(buffer);
    glow_model_destroy(&loaded);
    glow_model_destroy(&model);
  }
  assert_int_equal(memory.live, live);
  glow_context_destroy(&context);
}

/* A status of its own, or no net, ends the making; the message says for which coupling. */
static void test_it_fails(void **state) {
  (void)state;
  helper_memory memory = {0};
  glow_context *context = helper_context(1, NULL, &memory);
  int64_t live = memory.live;
  for (int i = 0; i < PRESETS; i++)
    for (int nothing = 0; nothing < 2; nothing++) {
      const row *last = &presets[i].rows[presets[i].count - 1];
      seen s = {.fail_at = presets[i].count, .nothing = nothing};
      glow_model *model = NULL;
      char words[100];
      snprintf(words, sizeof words, "the conditioner for level %d, step %d: %s", (int)last->level,
               (int)last->step, nothing ? "it returned GLOW_OK but no net" : "no more nets");
      REFUSED(presets[i].make(context, &s, &model), nothing ? GLOW_E_ARGUMENT : GLOW_E_LIMIT,
              words);
      assert_null(model);
      assert_int_equal(memory.live, live);
    }
  glow_context_destroy(&context);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_requests),
      cmocka_unit_test(test_nets_are_used),
      cmocka_unit_test(test_it_fails),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
