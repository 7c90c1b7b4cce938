/* libglow: normalizing flows for C programs. This includes what most programs need. Those that read
 * or write models of other projects add <glow/import.h>; those with layers or nets of their own add
 * <glow/sys/layer.h> and <glow/sys/net.h>, and <glow/sys/check.h> to have them checked.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_GLOW_H
#define GLOW_GLOW_H

#include <glow/base.h>
#include <glow/checkpoint.h>
#include <glow/collective.h>
#include <glow/context.h>
#include <glow/diagnose.h>
#include <glow/io.h>
#include <glow/layer.h>
#include <glow/model.h>
#include <glow/net.h>
#include <glow/objective.h>
#include <glow/presets.h>
#include <glow/rng.h>
#include <glow/train.h>
#include <glow/workspace.h>

#endif
