/* Samples that a model makes, written piece by piece: x as uint8 pixels or float32, y for models
 * with classes, and logdet. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_SAMPLE_FILE_H
#define GLOWTOOL_SAMPLE_FILE_H

#include "common.h"
#include "options.h"
#include "result_file.h"

enum { SAMPLES_AUTO = 0 }; /* pixels where the model knows bits, else float32 */
/* "auto", "uint8", "float32", for an OPTION_CHOICE. */
extern const option_choice sample_types[];

typedef struct sample_file {
  const opened_model *m;
  result_file file;
  int32_t type; /* GLOW_TYPE_U8 or GLOW_TYPE_F32 */
  bool labels, logdet;
  uint8_t *pixels; /* room for a batch */
} sample_file;

/* type: SAMPLES_AUTO, GLOW_TYPE_U8 or GLOW_TYPE_F32. labels, logdet: y [N] int32 and logdet [N]
 * float64 are written too. names: as for result_open. Returns an exit code, as all here do;
 * sample_file_close is due in any case. */
int sample_file_open(sample_file *f, const opened_model *m, const char *path, int64_t count,
                     int64_t type, bool labels, bool logdet, const sample_set *names);
/* The next `count` samples x [count, dims]; labels and logdet where the file has them. */
int sample_file_append(sample_file *f, const float *x, const int32_t *labels, const double *logdet,
                       int64_t count);
/* Puts the file in its place. */
int sample_file_finish(sample_file *f);
/* What stands in the place of a sample that is not finite, for a message. */
const char *sample_file_blank(const sample_file *f);
void sample_file_close(sample_file *f);

#endif
