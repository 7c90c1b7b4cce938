/* NumPy's .npy format: a header in Python's notation, then the elements.
 * https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_DATA_NPY_H
#define GLOWTOOL_DATA_NPY_H

#include "data_array.h"

/* A .npy file that lies in another, or is one: `size` bytes from `base` on of a file, or in memory.
 */
typedef struct npy_place {
  data_file *file;
  int64_t base, size;
  uint8_t *memory; /* NULL: in the file */
  int64_t taken;   /* of the limit of memory, for it */
  int64_t start;   /* of the elements, in the place */
} npy_place;

/* Reads the header; place->start is set. The place must outlive the array. */
bool npy_open(npy_place *place, const char *path, const char *name, data_array *out, message error);

#endif
