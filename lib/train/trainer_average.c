/* Putting the averaged parameters in the place of the trained ones, and back.
 * SPDX-License-Identifier: MIT */
#include "train/trainer.h"

glow_status glow_trainer_use_average(glow_trainer *trainer, int32_t use) {
  GLOW_LIVE(trainer, TRAINER);
  if (!trainer || (use != 0 && use != 1))
    return glow_error(GLOW_E_ARGUMENT, "glow_trainer_use_average: NULL, or neither 0 nor 1");
  if (!trainer->average || trainer->steps == 0)
    return glow_error(GLOW_E_STATE, "the trainer has no average: %s",
                      trainer->average ? "no step was made yet" : "it was made without one");
  if (trainer->average_used == (use == 1))
    return GLOW_OK;
  float *parameters = glow_model_parameters_mutable(trainer->model);
  glow__flat_swap(&trainer->flat, parameters, trainer->average);
  glow_status status = glow_model_prepare(trainer->model);
  if (status == GLOW_OK) {
    trainer->average_used = use == 1;
    return GLOW_OK;
  }
  glow__flat_swap(&trainer->flat, parameters, trainer->average);
  glow_status restored = glow_model_prepare(trainer->model);
  return restored == GLOW_OK ? status : restored;
}
