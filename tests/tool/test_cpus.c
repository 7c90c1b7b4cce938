/* CPU quotas of control groups, read from a root folder that the test makes.
 * SPDX-License-Identifier: MIT */
#include <errno.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../support/temp_folder.h"
#include "cpus.h"

static int make_root(void **state) {
  (void)state;
  return temp_folder_make(NULL) ? 0 : -1;
}

static int remove_root(void **state) {
  (void)state;
  return temp_folder_remove() ? 0 : -1;
}

/* Writes a file of the root, with the folders that lead to it. */
static void put(const char *path, const char *text) {
  char whole[512];
  assert_true(snprintf(whole, sizeof whole, "%s%s", temp_folder, path) < (int)sizeof whole);
  for (char *slash = strchr(whole + strlen(temp_folder) + 1, '/'); slash;
       slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    assert_true(mkdir(whole, 0777) == 0 || errno == EEXIST);
    *slash = '/';
  }
  FILE *file = fopen(whole, "w");
  assert_non_null(file);
  fputs(text, file);
  assert_int_equal(fclose(file), 0);
}

#define V2_MOUNT "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"

static void without_groups_there_is_no_quota(void **state) {
  (void)state;
  assert_true(isinf(quota_cpus(temp_folder)));
}

static void version_2(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0::/jobs/mine\n");
  put("/proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n" V2_MOUNT);
  put("/sys/fs/cgroup/jobs/mine/cpu.max", "250000 100000\n");
  assert_true(quota_cpus(temp_folder) == 2.5);
  put("/sys/fs/cgroup/jobs/mine/cpu.max", "max 100000\n");
  assert_true(isinf(quota_cpus(temp_folder)));
}

/* The smallest on the way up counts, whichever group has it. */
static void nested_groups(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0::/jobs/mine/step\n");
  put("/proc/self/mountinfo", V2_MOUNT);
  put("/sys/fs/cgroup/cpu.max", "max 100000\n");
  put("/sys/fs/cgroup/jobs/cpu.max", "150000 100000\n");
  put("/sys/fs/cgroup/jobs/mine/cpu.max", "300000 100000\n");
  assert_true(quota_cpus(temp_folder) == 1.5);
  put("/sys/fs/cgroup/jobs/mine/step/cpu.max", "50000 100000\n");
  assert_true(quota_cpus(temp_folder) == 0.5);
  put("/sys/fs/cgroup/jobs/other/cpu.max", "1000 100000\n"); /* of a group that is not ours */
  assert_true(quota_cpus(temp_folder) == 0.5);
}

/* A container with a name space of its own is at the top of what it sees, which has a file. */
static void top_of_a_container(void **state) {
  (void)state;
  put("/proc/self/cgroup", "0::/\n");
  put("/proc/self/mountinfo", V2_MOUNT);
  put("/sys/fs/cgroup/cpu.max", "400000 100000\n");
  assert_true(quota_cpus(temp_folder) == 4.0);
}

/* Without one it reads the host's path, while its mount shows the part below that. */
static void mounted_part_of_the_tree(void **state) {
  (void)state;
  put("/proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc/child\n0::/\n");
  put("/proc/self/mountinfo",
      "40 39 0:30 /docker/abc /sys/fs/cgroup/cpu,cpuacct ro - cgroup cgroup rw,cpu,cpuacct\n"
      "41 39 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "150000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "50000\n");
  assert_true(quota_cpus(temp_folder) == 3.0);
  put("/sys/fs/cgroup/cpu,cpuacct/child/cpu.cfs_quota_us", "100000\n");
  put("/sys/fs/cgroup/cpu,cpuacct/child/cpu.cfs_period_us", "100000\n");
  assert_true(quota_cpus(temp_folder) == 1.0);
}

static void version_1_without_a_quota(void **state) {
  (void)state;
  put("/proc/self/cgroup", "3:cpuacct,cpu:/\n");
  put("/proc/self/mountinfo", "40 39 0:30 / /cg/cpu rw - cgroup cgroup rw,cpuacct,cpu\n");
  put("/cg/cpu/cpu.cfs_quota_us", "-1\n");
  put("/cg/cpu/cpu.cfs_period_us", "100000\n");
  assert_true(isinf(quota_cpus(temp_folder)));
}

/* A controller whose name only begins so is another. */
static void cpuset_is_not_cpu(void **state) {
  (void)state;
  put("/proc/self/cgroup", "3:cpuset:/a\n");
  put("/proc/self/mountinfo", "40 39 0:30 / /cg/cpuset rw - cgroup cgroup rw,cpuset\n");
  put("/cg/cpuset/a/cpu.cfs_quota_us", "100000\n");
  put("/cg/cpuset/a/cpu.cfs_period_us", "100000\n");
  assert_true(isinf(quota_cpus(temp_folder)));
}

static void nonsense_is_no_quota(void **state) {
  static const char *const texts[] = {"", "\n", "many\n", "100000\n", "100000 0\n", "-5 100000\n"};
  (void)state;
  put("/proc/self/cgroup", "nothing\n:\n0::/a\n");
  put("/proc/self/mountinfo", "nothing\n - \n" V2_MOUNT);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    put("/sys/fs/cgroup/a/cpu.max", texts[i]);
    assert_true(isinf(quota_cpus(temp_folder)));
  }
}

/* The scheduler's mask: this process may run on one processor only, then one it is. */
static void affinity(void **state) {
  cpu_set_t before, one;
  (void)state;
  assert_true(usable_cpus() >= 1);
  if (sched_getaffinity(0, sizeof before, &before) != 0)
    skip(); /* more processors than the type has room for */
  assert_true(usable_cpus() <= CPU_COUNT(&before));
  CPU_ZERO(&one);
  for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
    if (CPU_ISSET(i, &before))
      CPU_SET(i, &one);
  assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
  assert_int_equal(usable_cpus(), 1);
  assert_int_equal(sched_setaffinity(0, sizeof before, &before), 0);
}

int main(void) {
#define ROOTED(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
  const struct CMUnitTest tests[] = {
      ROOTED(without_groups_there_is_no_quota),
      ROOTED(version_2),
      ROOTED(nested_groups),
      ROOTED(top_of_a_container),
      ROOTED(mounted_part_of_the_tree),
      ROOTED(version_1_without_a_quota),
      ROOTED(cpuset_is_not_cpu),
      ROOTED(nonsense_is_no_quota),
      cmocka_unit_test(affinity),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
