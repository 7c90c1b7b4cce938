/* Checkpoints: a training run in a file, to be continued bit for bit in another process.
 *
 * A checkpoint is a model file (glow_model_load reads its model) that also holds the optimizer's
 * state, the averaged parameters, all options, the schedule, the number of steps, the position in
 * the random numbers, and notes of the caller. The notes are for what the trainer does not know:
 * the place in the data. A run of N steps equals one that was stopped at any step, loaded and
 * continued with the same batches, whatever the number of threads. Format: docs/format.md.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_CHECKPOINT_H
#define GLOW_CHECKPOINT_H

#include <glow/io.h>
#include <glow/train.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Writes a checkpoint to `path`; at any moment the old file or the new one is there, and whole.
 * notes: `pairs` entries key, value, key, value, ..., in UTF-8; keys are not empty, and each occurs
 * once. May be called while the average is in use: the file is the same. */
GLOW_API glow_status glow_checkpoint_save(const glow_trainer *trainer, const char *path,
                                          const char *const *notes, int64_t pairs);
/* The same to any output. Storage other than float32 is refused, because it would lose bits. */
GLOW_API glow_status glow_checkpoint_save_output(const glow_trainer *trainer,
                                                 const glow_output *output,
                                                 const char *const *notes, int64_t pairs);
/* Makes the model and the trainer of a checkpoint. They are the caller's. The file is not trusted:
 * everything that glow_model_load checks is checked, the options are checked as glow_trainer_create
 * does, and so is the optimizer's state. On failure both are NULL. */
GLOW_API glow_status glow_checkpoint_load(glow_context *context, const char *path,
                                          glow_model **model, glow_trainer **trainer);
/* The same from any input. glow_limits.workspace_bytes caps the memory of passes that the file's
 * options ask for. */
GLOW_API glow_status glow_checkpoint_load_input(glow_context *context, const glow_input *input,
                                                glow_model **model, glow_trainer **trainer);
/* Makes only the model, with the averaged parameters. GLOW_E_STATE if the trainer had no average or
 * had made no step. */
GLOW_API glow_status glow_checkpoint_load_average(glow_context *context, const char *path,
                                                  glow_model **out);
/* The same from any input. */
GLOW_API glow_status glow_checkpoint_load_average_input(glow_context *context,
                                                        const glow_input *input, glow_model **out);
/* A note of the checkpoint that the trainer was loaded from; NULL if there is none. Owned by the
 * trainer. Notes are not copied to later checkpoints: give them again when saving. */
GLOW_API const char *glow_trainer_note(const glow_trainer *trainer, const char *key);

/* ---- loops of the caller's own --------------------------------------------------------------- */

/* Writes a checkpoint of an optimizer that a loop of the caller's own steps, and of its model: its
 * options, state, steps and rate factors, and notes, for all else that the loop has. It is a model
 * file too. Refused as in glow_checkpoint_save_output; GLOW_E_NUMERIC if a parameter or the state
 * is not finite. */
GLOW_API glow_status glow_checkpoint_save_optimizer(const glow_optimizer *optimizer,
                                                    const glow_output *output,
                                                    const char *const *notes, int64_t pairs);
/* Makes the model and the optimizer of such a file, or of a trainer's checkpoint. They are the
 * caller's. Checked as in glow_checkpoint_load; on failure both are
 * NULL. (glow_checkpoint_load refuses a file without a trainer with GLOW_E_FORMAT.) */
GLOW_API glow_status glow_checkpoint_load_optimizer(glow_context *context, const glow_input *input,
                                                    glow_model **model, glow_optimizer **optimizer);
/* As glow_trainer_note. */
GLOW_API const char *glow_optimizer_note(const glow_optimizer *optimizer, const char *key);

/* ---- a series in a folder -------------------------------------------------------------------- */

/* Writes FOLDER/checkpoint-STEP.safetensors, STEP with at least nine digits, and removes other
 * files of that pattern, lowest steps first, until `keep` are left (0: all stay). The one just
 * written always stays. If one cannot be removed the call fails with GLOW_E_IO, but the checkpoint
 * has been written. */
GLOW_API glow_status glow_checkpoint_save_series(const glow_trainer *trainer, const char *folder,
                                                 int32_t keep, const char *const *notes,
                                                 int64_t pairs);
/* Path of the checkpoint of the highest step in the folder that can be loaded; it is loaded to find
 * out, within `limits` (NULL: the defaults), since anyone may have put a file there. Damaged ones
 * and those beyond the limits are passed over, with a warning to the context's log.
 * GLOW_E_NOT_FOUND: there is none; GLOW_E_FORMAT: there are some, but none can be loaded;
 * GLOW_E_LIMIT: the newest is beyond the limits and none is within them, or the path does not fit
 * in `size` bytes. */
GLOW_API glow_status glow_checkpoint_newest(glow_context *context, const char *folder,
                                            const glow_limits *limits, char *path, size_t size);

#ifdef __cplusplus
}
#endif
#endif
