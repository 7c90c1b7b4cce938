/* What a layer and a net are: a table, data of their own, and the nets that a layer hosts.
 * SPDX-License-Identifier: MIT */
#ifndef GLOW_HOST_HANDLES_H
#define GLOW_HOST_HANDLES_H

#include <glow/sys/layer.h>
#include <glow/sys/net.h>

#include "base/base.h"

/* What a layer declares for itself, and what each of its nets declares: kept apart, so that several
 * nets in one layer need not know of each other. */
typedef struct glow__part {
  size_t derived_bytes;
  int64_t derived_offset; /* in the derived values of the node */
  int32_t first_round;    /* of initialisation, counted over the node */
  int32_t rounds;
  size_t round_bytes;
} glow__part;

struct glow_net {
  glow_context *context;
  glow_net_ops ops;
  void *self;      /* options first */
  glow__part part; /* filled when the layer that hosts it is configured */
  bool configured;
  bool has_more; /* self holds more than options: it cannot be made again from them */
};

struct glow_layer {
  glow_context *context;
  glow_layer_ops ops;
  void *self;       /* options first */
  glow__part part;  /* of the layer without its nets */
  bool has_more;    /* self holds more than options: it cannot be made again from them */
  glow_net *nets[]; /* [ops.net_count] */
};

/* Flags of a layer together with its nets: it prepares always when all of them do. */
uint32_t glow__layer_flags(const glow_layer *layer);

/* Writes what is needed to make the layer again: its options, and its nets' types and options. */
glow_status glow__layer_save(const glow_layer *layer, glow__config *config);
/* Makes a layer of a registered type from such a configuration. */
glow_status glow__layer_load(glow_context *context, const char *type, const glow__config *config,
                             glow_layer **out);
/* A layer with the same options, and with nets that have the same options, made with `context`. */
glow_status glow__layer_like(const glow_layer *layer, glow_context *context, glow_layer **out);
/* The layer's inference form; NULL if neither it nor any of its nets has one. `call` has the
 * tensors and derived values. */
glow_status glow__layer_inference_form(const glow_layer *layer, const glow_call *call,
                                       glow_layer **out);

glow_status glow__net_save(const glow_net *net, glow__config *config);
glow_status glow__net_load(glow_context *context, const char *type, const glow__config *config,
                           glow_net **out);
glow_status glow__net_like(const glow_net *net, glow_context *context, glow_net **out);
glow_status glow__net_inference_form(const glow_net *net, const glow_call *call, glow_net **out);

/* One block for a handle of `handle` bytes and, behind it, a `self` of `size` bytes, which starts
 * with a checked copy of the caller's options. */
glow_status glow__self_create(glow_context *context, const glow_options_table *table, size_t handle,
                              size_t size, const void *options, void **out, void **self);
/* Releases what the copy of the options holds, then the block. */
void glow__self_release(glow_context *context, const glow_options_table *table, void *self,
                        void *handle);

#endif
