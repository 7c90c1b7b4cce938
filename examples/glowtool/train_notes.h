/* Keys of the notes in glowtool's checkpoints. SPDX-License-Identifier: MIT */
#ifndef GLOWTOOL_TRAIN_NOTES_H
#define GLOWTOOL_TRAIN_NOTES_H

#define NOTE_OPTION "option." /* and its name */
#define NOTE_EPOCH "feed.epoch"
#define NOTE_NEXT "feed.next"
#define NOTE_DATA "data"
#define NOTE_KERNELS "kernels"
#define NOTE_PRODUCTS "products"
#define NOTE_LOSSES "losses"

/* Name of the file of a step: glow_checkpoint_save_series. */
#define CHECKPOINT_FORMAT "checkpoint-%09lld.safetensors"

#endif
