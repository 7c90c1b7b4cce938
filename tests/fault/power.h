/* A disk whose power can be cut. What a program does to the files of one folder is recorded, and
 * then played again up to each of its calls. What was not synced by then may be on the disk or not:
 *
 *   - of the data of a file, each write since its last fsync is kept, dropped, or torn into sectors
 *     of which some are kept; the length may be that of all writes although the data are zero;
 *   - of the names in the folder, those made, moved and removed since its last fsync are kept or
 *     dropped in any combination; a file that was moved may have both names.
 *
 * Each such state becomes a folder that is checked. SPDX-License-Identifier: MIT */
#ifndef GLOW_TEST_FAULT_POWER_H
#define GLOW_TEST_FAULT_POWER_H

#include <stdbool.h>
#include <stdint.h>

/* Records from here on; what is in the folder is on the disk. One folder at a time. */
void power_record(const char *folder);
/* The program has been told something by now that a power cut must not undo; in order. */
void power_mark(int64_t mark);
void power_stop(void);
void power_forget(void);

/* What the disk may have lost besides: for seeing that this is noticed. */
typedef struct power_disk {
  bool ignores_file_sync, ignores_folder_sync;
} power_disk;

/* Makes `folder` a state of the recorded one, calls check with the last mark before the cut (0 if
 * there was none), and goes on with the next state. Returns the number of states; *bad: of those
 * that check did not accept. */
typedef bool (*power_check)(const char *folder, int64_t mark);
int64_t power_play(const power_disk *disk, const char *folder, power_check check, int64_t *bad);

#endif
