/* Processors for threads: what the scheduler allows, and how much of that a container gets.
 *
 * A container that may use two of 64 processors usually sees all 64; its control group has a quota
 * of processor time for each period instead. With a thread for each of the 64 the group would stand
 * still for most of each period. Control groups are nested, and the smallest quota on the way up
 * counts. Version 1 has them in cpu.cfs_quota_us and cpu.cfs_period_us (-1: none), version 2 in
 * cpu.max ("max 100000": none); see Linux, Documentation/scheduler/sched-bwc.rst and
 * Documentation/admin-guide/cgroup-v2.rst.
 *
 * /proc/self/cgroup says which group the process is in, /proc/self/mountinfo where the groups are
 * to be seen; a container may see a part of the tree alone, of which its mount names the top.
 * SPDX-License-Identifier: MIT */
#include "cpus.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the scheduler --------------------------------------------------------------------------- */

/* A mask may be larger than a cpu_set_t, which has room for 1024. */
static int64_t allowed_cpus(void) {
  for (size_t room = CPU_SETSIZE; room <= (size_t)1 << 20; room *= 2) {
    cpu_set_t *set = CPU_ALLOC(room);
    size_t size = CPU_ALLOC_SIZE(room);
    if (!set)
      break;
    int result = sched_getaffinity(0, size, set);
    int error = errno, count = result == 0 ? CPU_COUNT_S(size, set) : 0;
    CPU_FREE(set);
    if (count > 0)
      return count;
    if (error != EINVAL)
      break;
  }
  long online = sysconf(_SC_NPROCESSORS_ONLN);
  return online > 0 ? online : 1;
}

/* ---- quotas ---------------------------------------------------------------------------------- */

/* The two numbers of one group, or of its two files. */
static double quota_of(const char *quota, const char *period) {
  char *end;
  double most = strtod(quota, &end), each = strtod(period, NULL);
  return end != quota && most > 0.0 && each > 0.0 ? most / each : (double)INFINITY;
}

/* The first line of FOLDER/NAME; false when there is none. */
static bool read_line(const char *folder, const char *name, char *line, size_t size) {
  char path[PATH_MAX];
  if (snprintf(path, sizeof path, "%s/%s", folder, name) >= (int)sizeof path)
    return false;
  FILE *file = fopen(path, "re");
  bool good = file && fgets(line, (int)size, file);
  if (file)
    fclose(file);
  return good;
}

static double quota_of_folder(const char *folder, bool unified) {
  char quota[64], period[64];
  if (!unified)
    return read_line(folder, "cpu.cfs_quota_us", quota, sizeof quota) &&
                   read_line(folder, "cpu.cfs_period_us", period, sizeof period)
               ? quota_of(quota, period)
               : (double)INFINITY;
  if (!read_line(folder, "cpu.max", quota, sizeof quota) || strncmp(quota, "max", 3) == 0)
    return INFINITY;
  const char *space = strchr(quota, ' ');
  return quota_of(quota, space ? space : "");
}

/* The group and those around it, up to the mount. `path` is cut on the way. */
static double quota_upwards(char *path, size_t top, bool unified) {
  double least = INFINITY;
  for (;;) {
    least = fmin(least, quota_of_folder(path, unified));
    char *slash = strrchr(path, '/');
    if (!slash || (size_t)(slash - path) < top)
      return least;
    *slash = '\0';
  }
}

/* ---- where groups are ------------------------------------------------------------------------ */

/* Is `word` one of the words that commas part? */
static bool among(const char *list, const char *word) {
  size_t length = strlen(word);
  for (; *list; list += strspn(list, ",")) {
    size_t here = strcspn(list, ",\n");
    if (here == length && memcmp(list, word, length) == 0)
      return true;
    list += here;
    if (*list == '\n')
      break;
  }
  return false;
}

/* A line of mountinfo: "ID PARENT MAJOR:MINOR TOP PLACE OPTIONS ... - TYPE SOURCE OPTIONS". */
typedef struct mount {
  char top[PATH_MAX], place[PATH_MAX], type[32], options[512];
} mount;

static bool read_mount(const char *line, mount *out) {
  const char *after = strstr(line, " - ");
  _Static_assert(PATH_MAX >= 4096, "the widths below");
  return after && sscanf(line, "%*s %*s %*s %4095s %4095s", out->top, out->place) == 2 &&
         sscanf(after, " - %31s %*s %511s", out->type, out->options) == 2;
}

static bool has_quotas(const mount *m, bool unified) {
  if (unified)
    return strcmp(m->type, "cgroup2") == 0;
  return strcmp(m->type, "cgroup") == 0 && among(m->options, "cpu");
}

/* The part of the group's path that lies below the mount's top. What is not below it is not to be
 * seen from here, but for the mount's top itself. */
static const char *below(const char *group, const char *top) {
  size_t length = strcmp(top, "/") == 0 ? 0 : strlen(top);
  if (strncmp(group, top, length) != 0 || (group[length] && group[length] != '/'))
    return "";
  return strcmp(group + length, "/") == 0 ? "" : group + length;
}

static double quota_of_group(const char *root, const char *group, bool unified) {
  char line[2 * PATH_MAX + 1024];
  double least = INFINITY;
  char path[3 * PATH_MAX];
  mount m;
  snprintf(path, sizeof path, "%s/proc/self/mountinfo", root);
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof line, file)) {
    if (!read_mount(line, &m) || !has_quotas(&m, unified))
      continue;
    snprintf(path, sizeof path, "%s%s%s", root, m.place, below(group, m.top));
    least = fmin(least, quota_upwards(path, strlen(root) + strlen(m.place), unified));
  }
  if (file)
    fclose(file);
  return least;
}

/* Lines are "NUMBER:CONTROLLERS:PATH"; version 2 has no controllers there. */
double quota_cpus(const char *root) {
  char line[PATH_MAX + 256], path[PATH_MAX];
  double least = INFINITY;
  snprintf(path, sizeof path, "%s/proc/self/cgroup", root);
  FILE *file = fopen(path, "re");
  while (file && fgets(line, sizeof line, file)) {
    char *controllers = strchr(line, ':');
    char *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group)
      continue;
    *group++ = '\0';
    controllers++;
    group[strcspn(group, "\n")] = '\0';
    if (!*controllers || among(controllers, "cpu"))
      least = fmin(least, quota_of_group(root, group, !*controllers));
  }
  if (file)
    fclose(file);
  return least;
}

int64_t usable_cpus(void) {
  int64_t allowed = allowed_cpus();
  double quota = ceil(quota_cpus(""));
  if (quota < 1.0)
    return 1;
  return quota < (double)allowed ? (int64_t)quota : allowed;
}
