/* Between the files that write seeds. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_MAKE_SEEDS_H
#define GLOW_TEST_MAKE_SEEDS_H

#include <stddef.h>

/* Where they go: FOLDER/KIND, which is made if it is not there. */
void seed_folder(const char *folder, const char *kind);
/* Writes a seed; ends the program if that fails. */
void seed_write(const char *kind, const char *name, const void *bytes, size_t size);

/* Calls of the library. */
void api_seeds(void);
/* PNG, JPEG and WebP images, as far as the build reads them. */
void picture_seeds(void);

#endif
