/* How much memory files may make the program take: --max-memory. A file of a few kilobytes can ask
 * for gigabytes; so what it asks for is compared with the limit before anything is allocated.
 * SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_MEMORY_H
#define GLOWTOOL_MEMORY_H

#include "data_file.h"

/* MiB, as --max-memory says; 0: the defaults below. For the whole program. */
void memory_limit(int64_t mib);
/* Bytes that data may take which are not in files as they are: what is unpacked, what decoding a
 * picture needs, a sample. Default: 1 GiB, or half of the machine's memory where that is less. */
int64_t memory_for_data(void);
/* Bytes that passes of a model may take. Default: the machine's memory. */
int64_t memory_for_passes(void);
/* The machine's memory, or what its container may use. */
int64_t memory_of_machine(void);

/* What is left of memory_for_data. */
int64_t memory_left(void);
/* Is there room for `bytes` beside what has been taken? If not, the message says so: `path` and
 * `what` ("unpacked, it") begin it. */
bool memory_fits(int64_t bytes, const char *path, const char *what, message error);
/* The same, and counts them until memory_give. */
bool memory_take(int64_t bytes, const char *path, const char *what, message error);
void memory_give(int64_t bytes);

#endif
