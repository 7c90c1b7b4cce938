/* Files of the tests of faults, and what must not be left behind: temporary files, descriptors,
 * mappings, threads. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_FAULT_PLACES_H
#define GLOW_TEST_FAULT_PLACES_H

#include "../support/hash.h"
#include "../support/model_helpers.h"
#include "../support/temp_folder.h"

/* ---- files ----------------------------------------------------------------------------------- */

typedef struct blob {
  unsigned char *bytes;
  size_t size;
} blob;

/* The contents of a file, to be freed. */
blob read_blob(const char *path);
void write_blob(const char *path, const blob *b);
bool holds(const char *path, const blob *expected);

/* ---- what is there --------------------------------------------------------------------------- */

/* Entries of a folder whose name contains `part`. */
int count_entries(const char *path, const char *part);
/* Of this process; 0 where the system does not say. */
int count_descriptors(void);
int count_threads(void);
/* Mappings of files of the temporary folder: none where a program has not made one. */
int count_mappings(void);
/* All of these, and the names and contents of the files in a folder. */
void fold_places(const char *folder, uint64_t *hash);

/* ---- where bytes come from ------------------------------------------------------------------- */

enum { FROM_PATH, FROM_MAPPING, FROM_LAZY, FROM_MEMORY, FROM_CALLBACK, PLACES };
extern const char *const place_names[PLACES];
/* The file `path`, or its copy in memory. */
glow_input input_from(int place, const char *path, const blob *copy);

#endif
