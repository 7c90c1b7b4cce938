/* Scores an image: score MODEL < PIXELS, raw bytes [H, W, C]. SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <stdio.h>

int main(int argc, char **argv) {
  static uint8_t pixels[1 << 20];
  static float x[1 << 20];
  glow_context *context = NULL;
  glow_model *model = NULL;
  glow_workspace *workspace = NULL;
  double log_prob = 0;
  const int ok = argc == 2 && glow_context_create(NULL, &context) == GLOW_OK &&
                 glow_model_load(context, argv[1], &model) == GLOW_OK &&
                 fread(pixels, 1, sizeof pixels, stdin) == (size_t)glow_model_dims(model) &&
                 glow_model_dequantise(model, pixels, 1, 0, 0, x) == GLOW_OK &&
                 glow_workspace_create(model, NULL, &workspace) == GLOW_OK &&
                 glow_workspace_log_prob(workspace, x, NULL, 1, &log_prob) == GLOW_OK;
  if (ok)
    printf("%.3f bits/dim\n", glow_model_bits_per_dim(model, log_prob));
  else
    fprintf(stderr, "usage: score MODEL < PIXELS. %s\n", glow_last_error());
  glow_workspace_destroy(&workspace);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
  return !ok;
}
