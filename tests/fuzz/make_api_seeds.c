/* Seeds of the target of calls: for every kind of model, what a program usually does with it. Bytes
 * of 0 are the usual arguments (api.h), so a seed is a list of calls.
 * SPDX-License-Identifier: MIT */
#include "make_seeds.h"

#include <stdio.h>
#include <string.h>

#include "api.h"

typedef struct step {
  uint8_t call;
  uint8_t bytes[RECORD - 1]; /* arguments */
} step;

enum { MOST_STEPS = 24 };

/* `contexts`: the first byte of the input. */
static void write_seed(const char *name, uint8_t contexts, const step *steps, size_t count,
                       const step *more, size_t more_count) {
  uint8_t bytes[2 + 2 * MOST_STEPS * RECORD] = {contexts};
  size_t used = 2;
  for (size_t i = 0; i < count + more_count; i++, used += RECORD) {
    const step *s = i < count ? &steps[i] : &more[i - count];
    bytes[used] = s->call;
    memcpy(bytes + used + 1, s->bytes, sizeof s->bytes);
  }
  seed_write("api", name, bytes, used);
}

/* How models come to be: presets on each shape and with each field set; layers one by one. */
static const step glow[] = {{CALL_model_glow, {0}}};
static const step glow_classes[] = {{CALL_model_glow, {0, 0, 0, 0, 10, 3}}};
static const step glow_condition[] = {{CALL_model_glow, {0, 0, 0, 0, 17, 0x65}}};
static const step glow_classifier[] = {{CALL_model_glow, {0, 0, 0, 0, 10, 3, 15, 1}}};
static const step glow_border[] = {{CALL_model_glow, {0, 0, 0, 0, 13, 1, 14, 1}}};
static const step glow_wide[] = {{CALL_model_glow, {0, 6, 0, 0, 3, 7, 2, 2}}};
static const step glow_in_bfloat16[] = {{CALL_model_glow, {1, 2, 0, 0, 3, 5}}};
static const step glow_image[] = {{CALL_model_glow, {0, 0, 0, 0, 17, 0x6a}}};
static const step realnvp[] = {{CALL_model_realnvp, {0, 2}}};
static const step nice[] = {{CALL_model_nice, {0, 1}}};
static const step vector[] = {{CALL_model_vector, {0}}};
static const step vector_condition[] = {{CALL_model_vector, {0, 0, 0, 2, 2}}};
static const step built[] = {{CALL_builder_create, {0}},       {CALL_layer_simple, {0}},
                             {CALL_builder_add, {0, 0, 0, 1}}, {CALL_layer_simple, {8}},
                             {CALL_builder_add, {0, 0, 0, 2}}, {CALL_layer_simple, {1}},
                             {CALL_builder_add, {0, 0, 0, 3}}, {CALL_net_conv, {0}},
                             {CALL_layer_coupling, {0}},       {CALL_builder_add, {0, 0, 0, 4}},
                             {CALL_layer_simple, {4}},         {CALL_builder_add, {0, 0, 0, 5}},
                             {CALL_layer_prior, {0}},          {CALL_builder_add, {0, 0, 0, 6}},
                             {CALL_builder_finish, {0}}};
static const step fixed[] = {{CALL_builder_create, {0}},       {CALL_layer_simple, {4, 0, 0, 2, 1}},
                             {CALL_builder_add, {0, 0, 0, 1}}, {CALL_layer_simple, {5}},
                             {CALL_builder_add, {0, 0, 0, 2}}, {CALL_layer_prior, {0, 0, 1, 0}},
                             {CALL_builder_add, {0, 0, 0, 3}}, {CALL_builder_finish, {0}}};
static const step nested[] = {{CALL_model_vector, {0}},
                              {CALL_builder_create, {0, 1}},
                              {CALL_builder_create, {0, 1}},
                              {CALL_layer_simple, {2}},
                              {CALL_builder_add, {1, 0, 0, 1}},
                              {CALL_builder_nest, {0, 1, 0, 2, 0}},
                              {CALL_builder_nest, {0, 1, 0, 3, 1}},
                              {CALL_builder_nest, {0, 1, 0, 4, 2}},
                              {CALL_layer_prior, {0}},
                              {CALL_builder_add, {0, 0, 0, 5}},
                              {CALL_builder_finish, {0}}};

/* What is done with them. */
static const step passes[] = {{CALL_workspace_create, {0}},
                              {CALL_set_condition, {0}},
                              {CALL_initialise, {0}},
                              {CALL_model_prepare, {0, 0, 1, 3}},
                              {CALL_forward, {0}},
                              {CALL_log_prob, {0}},
                              {CALL_inverse, {0}},
                              {CALL_sample, {0}},
                              {CALL_classify, {0}},
                              {CALL_diagnose, {0}},
                              {CALL_model_ask, {0}},
                              {CALL_model_pixels, {0}},
                              {CALL_inference_form, {0}},
                              {CALL_workspace_create, {1}},
                              {CALL_log_prob, {1}},
                              {CALL_set_condition, {0}},
                              {CALL_forward, {0, 0, 0, 0, 9}},
                              {CALL_inverse, {0, 0, 0, 0, 4}}};
static const step gradients[] = {{CALL_workspace_create, {0, 0, 1}},
                                 {CALL_set_condition, {0}},
                                 {CALL_initialise, {0}},
                                 {CALL_forward, {0, 0, 1}},
                                 {CALL_backward, {0}},
                                 {CALL_gradients, {0, 0, 0, 1}},
                                 {CALL_optimizer_create, {0}},
                                 {CALL_optimizer_step, {0}},
                                 {CALL_gradients, {0, 0, 0, 0}},
                                 {CALL_workspace_create, {0, 0, 2}},
                                 {CALL_workspace_create, {0, 0, 3}},
                                 {CALL_forward, {1, 0, 1}},
                                 {CALL_backward, {1}},
                                 {CALL_forward, {2, 0, 1}},
                                 {CALL_backward, {2, 0, 1}},
                                 {CALL_destroy, {3}}};
/* Reconstruction that drifts, packed weights that are kept, clipping, a plan within a budget. */
static const step modes[] = {{CALL_workspace_create, {0, 0, 2, 0, 5, 7}},
                             {CALL_set_condition, {0}},
                             {CALL_initialise, {0}},
                             {CALL_model_prepare, {0, 0, 1, 9}},
                             {CALL_forward, {0, 0, 1}},
                             {CALL_backward, {0}},
                             {CALL_gradients, {0, 0, 0, 0}},
                             {CALL_forward, {0, 0, 1}},
                             {CALL_backward, {0, 0, 0, 38}},
                             {CALL_workspace_create, {0, 0, 1, 0, 3, 1}},
                             {CALL_forward, {1, 0, 1}},
                             {CALL_backward, {1}},
                             {CALL_log_prob, {1}},
                             {CALL_classify, {1, 0, 1, 0, 0, 1}},
                             {CALL_trainer_create, {0, 0, 6, 0, 5, 3, 6, 3, 11, 7}},
                             {CALL_trainer_step, {0}},
                             {CALL_trainer_step, {0, 0, 2}},
                             {CALL_inference_form, {0}},
                             {CALL_model_file, {0, 1}}};
static const step objectives[] = {{CALL_trainer_create, {0, 0, 64}},
                                  {CALL_trainer_initialise, {0}},
                                  {CALL_trainer_target, {0}},
                                  {CALL_trainer_target, {0, 0, 0, 16}},
                                  {CALL_trainer_target, {0, 0, 0, 22}},
                                  {CALL_workspace_create, {0}},
                                  {CALL_evaluate, {0}},
                                  {CALL_evaluate, {0, 0, 1}},
                                  {CALL_importance, {0}}};
static const step training[] = {{CALL_trainer_create, {0, 0, 1}},
                                {CALL_trainer_initialise, {0}},
                                {CALL_trainer_step, {0}},
                                {CALL_trainer_pixels, {0}},
                                {CALL_trainer_run, {0}},
                                {CALL_trainer_change, {0, 0, 0, 3}},
                                {CALL_trainer_step, {0}},
                                {CALL_trainer_change, {0}},
                                {CALL_checkpoint, {0}},
                                {CALL_trainer_step, {1, 0, 0, 0, 0, 1}},
                                {CALL_model_file, {0}},
                                {CALL_export, {0}},
                                {CALL_fail_allocation, {2}},
                                {CALL_checkpoint, {0}},
                                {CALL_trainer_change, {0, 0, 0, 1}},
                                {CALL_trainer_change, {0, 0, 0, 2}},
                                {CALL_model_fill, {0, 1}},
                                {CALL_model_fill, {0, 1, 4}},
                                {CALL_model_fill, {0, 1, 6, 2}}};
/* Runs with a part held out: with keep_best; with patience, an average and parts held. A loop of
 * one's own: parts held, state written, steps set, to a file and back. */
static const step steering[] = {{CALL_trainer_create, {0, 0, 1}},
                                {CALL_trainer_initialise, {0}},
                                {CALL_trainer_run, {0, 0, 4, 0, 0, 0, 0, 1}},
                                {CALL_trainer_run, {0, 0, 4, 0, 0, 0, 0, 0, 17}},
                                {CALL_trainer_change, {0, 0, 13}},
                                {CALL_trainer_run, {0, 0, 8, 0, 0, 0, 0, 17, 1}},
                                {CALL_trainer_run, {0, 0, 0, 0, 0, 0, 0, 7, 7}},
                                {CALL_optimizer_create, {0}},
                                {CALL_optimizer_step, {0}},
                                {CALL_optimizer_change, {0, 0, 2, 0}},
                                {CALL_optimizer_change, {0, 10}},
                                {CALL_optimizer_step, {0}},
                                {CALL_optimizer_change, {0, 2, 1}},
                                {CALL_optimizer_change, {0, 0, 0, 0, 9}},
                                {CALL_optimizer_change, {0, 1, 7}},
                                {CALL_optimizer_change, {0, 3}},
                                {CALL_optimizer_step, {0}},
                                {CALL_optimizer_file, {0}},
                                {CALL_optimizer_step, {1}},
                                {CALL_optimizer_change, {0, 0, 0, 0, 41}},
                                {CALL_optimizer_step, {0}}};
static const step others[] = {
    {CALL_other_context, {0}},  {CALL_other_context, {1}},  {CALL_other_context, {9, 1}},
    {CALL_random_numbers, {0}}, {CALL_random_numbers, {0}}, {CALL_random_numbers, {0, 0, 0, 1}},
    {CALL_net_mlp, {0}},        {CALL_layer_spline, {0}},   {CALL_net_res, {0}},
    {CALL_layer_coupling, {0}}, {CALL_destroy, {1}},        {CALL_model_set, {0}}};

#define LIST(steps) steps, sizeof(steps) / sizeof *(steps)

void api_seeds(void) {
  static const struct {
    const char *name;
    uint8_t contexts;
    const step *steps;
    size_t count;
  } models[] = {{"glow", 0, LIST(glow)},
                {"glow-classes", 0, LIST(glow_classes)},
                {"glow-classifier", 0, LIST(glow_classifier)},
                {"glow-condition", 0, LIST(glow_condition)},
                {"glow-image", 0, LIST(glow_image)},
                {"glow-border", 0, LIST(glow_border)},
                {"glow-wide", 0, LIST(glow_wide)},
                {"glow-bfloat16", 2, LIST(glow_in_bfloat16)},
                {"realnvp", 0, LIST(realnvp)},
                {"nice", 1, LIST(nice)},
                {"vector", 0, LIST(vector)},
                {"vector-condition", 0, LIST(vector_condition)},
                {"built", 0, LIST(built)},
                {"fixed", 0, LIST(fixed)},
                {"nested", 0, LIST(nested)}},
    uses[] = {{"passes", 0, LIST(passes)},         {"gradients", 0, LIST(gradients)},
              {"modes", 0, LIST(modes)},           {"training", 0, LIST(training)},
              {"objectives", 0, LIST(objectives)}, {"steering", 0, LIST(steering)},
              {"others", 0, LIST(others)}};
  for (size_t m = 0; m < sizeof models / sizeof *models; m++)
    for (size_t u = 0; u < sizeof uses / sizeof *uses; u++) {
      char name[64];
      snprintf(name, sizeof name, "%s-%s", models[m].name, uses[u].name);
      write_seed(name, models[m].contexts, models[m].steps, models[m].count, uses[u].steps,
                 uses[u].count);
    }
}
