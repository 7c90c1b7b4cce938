// A C++17 program with a flow layer of its own: y = 2 x, put through a model of vectors.
// SPDX-License-Identifier: MIT
#include <glow/glow.h>
#include <glow/sys/layer.h>

#include <cmath>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

struct Doubling {
  std::int64_t numbers = 0; // in a sample
};

void check(glow_status status) {
  if (status != GLOW_OK)
    throw std::runtime_error(glow_last_error());
}

glow_status configure(void *self, glow_setup *, const glow_shape *input, glow_shape *output) {
  static_cast<Doubling *>(self)->numbers = input->height * input->width * input->channels;
  *output = *input;
  return GLOW_OK;
}

void scale(const void *self, const glow_call *call, const float *from, float *to, float factor,
           double *logdet) {
  const auto numbers = static_cast<const Doubling *>(self)->numbers;
  for (std::int64_t i = 0; i < numbers * glow_call_sample_count(call); i++)
    to[i] = factor * from[i];
  for (std::int64_t n = 0; n < glow_call_sample_count(call); n++)
    logdet[n] += static_cast<double>(numbers) * std::log(static_cast<double>(factor));
}

void forward(const void *self, const glow_call *call, const float *x, float *y, double *logdet,
             double *) {
  scale(self, call, x, y, 2.0f, logdet);
}

void inverse(const void *self, const glow_call *call, const float *y, float *x, double *logdet) {
  scale(self, call, y, x, 0.5f, logdet);
}

void backward(const void *self, const glow_call *call, const glow_layer_gradient *gradient) {
  const auto count = static_cast<const Doubling *>(self)->numbers * glow_call_sample_count(call);
  for (std::int64_t i = 0; i < count; i++)
    gradient->dx[i] = 2.0f * gradient->dy[i];
}

void destroy(void *self, glow_context *) {
  delete static_cast<Doubling *>(self);
}

glow_layer *make_doubling(glow_context *context) {
  glow_layer_ops ops{};
  ops.struct_size = sizeof ops;
  ops.type = "doubling";
  ops.configure = configure;
  ops.forward = forward;
  ops.inverse = inverse;
  ops.backward = backward;
  ops.destroy = destroy;
  glow_layer *layer = nullptr;
  check(glow_layer_create(context, &ops, new Doubling, &layer));
  return layer;
}

// Log-density of x under y = 2 x, y standard normal.
double expected(const std::vector<float> &x) {
  double sum = 0;
  for (float v : x)
    sum += std::log(2.0) - 0.5 * (4.0 * v * v + std::log(2 * 3.14159265358979323846));
  return sum;
}

void run() {
  glow_context *context = nullptr;
  check(glow_context_create(nullptr, &context));
  const glow_shape shape{1, 1, 4};
  glow_builder_options options = GLOW_BUILDER_OPTIONS_INIT;
  options.bits = 0;
  glow_builder *builder = nullptr;
  check(glow_builder_create(context, &shape, &options, &builder));
  glow_layer *layer = make_doubling(context);
  check(glow_builder_add(builder, "doubling", &layer));
  check(glow_prior_create(context, nullptr, &layer));
  check(glow_builder_add(builder, "prior", &layer));
  glow_model *model = nullptr;
  check(glow_builder_finish(&builder, &model));

  glow_workspace *workspace = nullptr;
  check(glow_workspace_create(model, nullptr, &workspace));
  const std::vector<float> x{0.5f, -1.0f, 0.0f, 2.0f};
  std::vector<float> latents(4), back(4);
  double log_prob = 0;
  check(glow_workspace_forward(workspace, x.data(), 1, &(glow_forward_options){.struct_size = sizeof(glow_forward_options), .labels = nullptr, .latents = latents.data(), .logdet = nullptr, .log_prob = &log_prob}));
  check(glow_workspace_inverse(workspace, latents.data(), 1, &(glow_inverse_options){.struct_size = sizeof(glow_inverse_options), .labels = nullptr, .logdet = nullptr}, back.data()));
  std::printf("libglow %s: log-density %.6f\n", glow_version(), log_prob);
  if (std::fabs(log_prob - expected(x)) > 1e-5 || back != x || latents[0] != 1.0f)
    throw std::runtime_error("the layer's results are wrong");
  if (glow_workspace_forward(workspace, nullptr, 1, &(glow_forward_options){.struct_size = sizeof(glow_forward_options), .labels = nullptr, .latents = nullptr, .logdet = nullptr, .log_prob = nullptr}) !=
      GLOW_E_ARGUMENT)
    throw std::runtime_error("NULL was taken for an input");

  glow_workspace_destroy(&workspace);
  glow_model_destroy(&model);
  glow_context_destroy(&context);
}

} // namespace

int main() {
  try {
    run();
  } catch (const std::exception &error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
