/* The limit of memory, and what of it is in use. Data are read by one thread.
 * SPDX-License-Identifier: MIT */
#include "memory.h"

#include <stdio.h>
#include <unistd.h>

#define MIB ((int64_t)1 << 20)
#define DATA_BY_DEFAULT (1024 * MIB)

static int64_t asked, taken; /* bytes; asked 0: the defaults */

void memory_limit(int64_t mib) {
  asked = mib > INT64_MAX / MIB ? INT64_MAX : mib * MIB;
}

/* A limit of a control group, of version 2 or 1, as a container sees it at the root; INT64_MAX
 * where there is none. */
static int64_t group_limit(void) {
  static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                      "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
  int64_t least = INT64_MAX;
  for (int i = 0; i < 2; i++) {
    long long limit = 0;
    FILE *file = fopen(files[i], "re");
    if (file && fscanf(file, "%19lld", &limit) == 1 && limit > 0 && limit < least)
      least = limit;
    if (file)
      fclose(file);
  }
  return least;
}

int64_t memory_of_machine(void) {
  int64_t pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
  int64_t memory = pages > 0 && size > 0 ? pages * size : (int64_t)1 << 32;
  int64_t limit = group_limit();
  return limit < memory ? limit : memory;
}

int64_t memory_for_data(void) {
  static int64_t standard; /* the machine's memory is looked up once */
  if (asked)
    return asked;
  if (!standard) {
    int64_t half = memory_of_machine() / 2;
    standard = half < DATA_BY_DEFAULT ? half : DATA_BY_DEFAULT;
  }
  return standard;
}

int64_t memory_for_passes(void) {
  return asked ? asked : memory_of_machine();
}

int64_t memory_left(void) {
  return memory_for_data() - taken;
}

bool memory_fits(int64_t bytes, const char *path, const char *what, message error) {
  int64_t most = memory_for_data();
  if (bytes <= memory_left())
    return true;
  return data_fail(
      error, "%s: %s takes %.1f MiB of memory, beside %.1f in use; --max-memory allows %lld", path,
      what, (double)bytes / (double)MIB, (double)taken / (double)MIB, (long long)(most / MIB));
}

bool memory_take(int64_t bytes, const char *path, const char *what, message error) {
  if (!memory_fits(bytes, path, what, error))
    return false;
  taken += bytes;
  return true;
}

void memory_give(int64_t bytes) {
  taken -= bytes;
}
