/* Learns a small Glow from generated 8 x 8 pictures. SPDX-License-Identifier: MIT */
#include <glow/glow.h>
#include <stdio.h>
#include <stdlib.h>

enum { SIZE = 8, PICTURES = 64, DIMS = SIZE * SIZE * 3 };
static uint8_t pixels[PICTURES * DIMS];

static void check(glow_status status) {
  if (status != GLOW_OK) {
    fprintf(stderr, "%s: %s\n", glow_status_name(status), glow_last_error());
    exit(1);
  }
}

int main(void) {
  for (int i = 0; i < PICTURES * DIMS; i++) /* shades that run across, each picture its own way */
    pixels[i] = (uint8_t)(128 + (i / DIMS % 9 - 4) * (i / 3 % SIZE) * 4 + rand() % 8);
  glow_context *context = NULL;
  check(glow_context_create(NULL, &context));
  glow_glow_options options = GLOW_GLOW_OPTIONS_INIT;
  options.input = (glow_shape){SIZE, SIZE, 3};
  options.levels = 2, options.depth = 4, options.hidden = 32;
  glow_model *model = NULL;
  check(glow_model_create_glow(context, &options, &model));
  glow_trainer *trainer = NULL;
  check(glow_trainer_create(model, NULL, &trainer));
  check(glow_trainer_initialise_pixels(trainer, pixels, NULL, PICTURES));
  for (int step = 1; step <= 100; step++) {
    glow_step_report report = GLOW_STEP_REPORT_INIT;
    check(glow_trainer_step_pixels(trainer, pixels, NULL, PICTURES, &report));
    if (step == 1 || step % 20 == 0)
      printf("step %3d: %.3f bits/dim\n", step, report.loss);
  }
  glow_trainer_destroy(&trainer);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}
