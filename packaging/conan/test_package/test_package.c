/* Headers and library of the package belong together, and a model can be made and run with them.
 * SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <stdio.h>

enum { SAMPLES = 4, DIMS = 4 * 4 * 3 };

int main(void) {
  float x[SAMPLES * DIMS];
  for (int i = 0; i < SAMPLES * DIMS; i++)
    x[i] = (float)(i % 7) / 7 - 0.5f;
  glow_context *context = NULL;
  glow_model *model = NULL;
  glow_workspace *workspace = NULL;
  double log_prob[SAMPLES] = {0};
  glow_glow_options options = GLOW_GLOW_OPTIONS_INIT;
  options.input = (glow_shape){4, 4, 3};
  options.levels = options.depth = 1;
  options.hidden = 4;
  const int ok = glow_version_number() == GLOW_VERSION_NUMBER &&
                 glow_context_create(NULL, &context) == GLOW_OK &&
                 glow_model_create_glow(context, &options, &model) == GLOW_OK &&
                 glow_workspace_create(model, NULL, &workspace) == GLOW_OK &&
                 glow_workspace_initialise(workspace, model, x, NULL, SAMPLES) == GLOW_OK &&
                 glow_workspace_log_prob(workspace, x, NULL, SAMPLES, log_prob) == GLOW_OK;
  if (ok)
    printf("libglow %s: %.3f nats\n", glow_version(), log_prob[0]);
  else
    fprintf(stderr, "%s\n", glow_last_error());
  glow_workspace_destroy(&workspace);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return !ok;
}
