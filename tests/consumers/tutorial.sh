#!/bin/sh
# Checks that the pieces of C in docs/tutorial.md compile against the headers, each as the body of a
# function with the variables below. Usage: tutorial.sh SOURCE_ROOT C_COMPILER.
# SPDX-License-Identifier: MIT
set -eu
root=$1 cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat > "$work/tutorial.c" << 'END'
#include <glow/glow.h>
#include <math.h>
#include <stdio.h>
enum { count = 16, dims = 32 * 32 * 3 };
static glow_context *context;
static glow_glow_options options;
static glow_model *model;
static glow_workspace_options wo;
static glow_workspace *workspace;
static glow_optimizer *optimizer;
static glow_trainer *trainer;
static glow_builder *builder;
static float x[count * dims], latents[count * dims], back[count * dims];
static double log_prob[count], weight[count];
glow_status density(const float *x, int64_t first, int64_t n, double *log_p, float *gradient, void *payload);
glow_status file_name(const char *name, char *out, size_t size, void *payload);
glow_status next_batch(int64_t step, glow_batch *batch, void *payload);
static glow_batch held_out;
static const glow_loss_call *call;
static double *loss;
glow_status my_loss(const glow_loss_call *given, double *out, void *payload);
glow_status my_hook(int64_t step, float *gradients, int64_t elements, void *payload);
void print_note(int32_t what, const char *name, void *payload);
END
awk '/^```c$/ { print "static void piece_" ++n "(void) {"; inside = 1; next }
     /^```$/ && inside { print "}"; inside = 0; next }
     inside
     END { print "int main(void) {"; for (i = 1; i <= n; i++) print "piece_" i "();"; print "}" }' \
  "$root/docs/tutorial.md" >> "$work/tutorial.c"
[ "$(grep -c 'static void piece_' "$work/tutorial.c")" -ge 4 ] || {
  echo "docs/tutorial.md has lost its pieces of C"
  exit 1
}
$cc -std=c11 -Wall -Wextra -Wno-unused-but-set-variable -Wno-unused-variable -Werror -fsyntax-only \
  -I "$root/include" "$work/tutorial.c"
