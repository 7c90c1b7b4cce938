// A C++17 program with a flow layer of its own: y = 2^times x, put through a model of vectors.
// SPDX-License-Identifier: MIT
#include <glow/glow.h>
#include <glow/sys/layer.h>

#include <cmath>
#include <cstddef>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <vector>

namespace {

// A maker's own data is plain memory, zeroed, of the size that the table tells; options come first.
struct DoublingOptions {
  std::size_t struct_size;
  std::int32_t times; // how often it doubles, 1 to 8; default 1
  std::int32_t reserved;
};
struct Doubling {
  DoublingOptions options;
  std::int64_t elements; // of a sample
};

void check(glow_status status) {
  if (status != GLOW_OK)
    throw std::runtime_error(glow_last_error());
}

glow_status configure(void *self, glow_setup *, const glow_shape *input, glow_shape *output) {
  static_cast<Doubling *>(self)->elements = input->height * input->width * input->channels;
  *output = *input;
  return GLOW_OK;
}

// exponent 1 for forward, -1 for inverse
void scale(const void *self, const glow_call *call, const float *from, float *to, int exponent,
           double *logdet) {
  const auto &d = *static_cast<const Doubling *>(self);
  const int times = exponent * d.options.times;
  for (std::int64_t i = 0; i < d.elements * glow_call_sample_count(call); i++)
    to[i] = std::ldexp(from[i], times);
  for (std::int64_t n = 0; logdet && n < glow_call_sample_count(call); n++)
    logdet[n] += static_cast<double>(d.elements) * times * std::log(2.0);
}

void forward(const void *self, const glow_call *call, const float *x, float *y, double *logdet,
             double *) {
  scale(self, call, x, y, 1, logdet);
}

glow_status inverse(const void *self, const glow_call *call, const float *y, float *x,
                    double *logdet, double *logprior) {
  (void)logprior;
  scale(self, call, y, x, -1, logdet);
  return GLOW_OK;
}

void backward(const void *self, const glow_call *call, const glow_layer_gradient *gradient) {
  scale(self, call, gradient->dy, gradient->dx, 1, nullptr);
}

const glow_options_table &options_table() {
  static const glow_option row = [] {
    glow_option option{};
    option.name = "times";
    option.offset = offsetof(DoublingOptions, times);
    option.type = GLOW_OPTION_INT32;
    option.low = 1;
    option.high = 8;
    option.fallback = 1;
    return option;
  }();
  static const glow_options_table table = [] {
    glow_options_table t{};
    t.struct_size = sizeof t;
    t.name = "DoublingOptions";
    t.size = t.smallest = sizeof(DoublingOptions);
    t.options = &row;
    t.count = 1;
    return t;
  }();
  return table;
}

glow_layer *make_doubling(glow_context *context, std::int32_t times) {
  glow_layer_ops ops{};
  ops.struct_size = sizeof ops;
  ops.type = "doubling";
  ops.options = &options_table();
  ops.self_size = sizeof(Doubling);
  ops.configure = configure;
  ops.forward = forward;
  ops.inverse = inverse;
  ops.backward = backward;
  const DoublingOptions options{sizeof options, times, 0};
  glow_layer *layer = nullptr;
  check(glow_layer_create(context, &ops, &options, nullptr, &layer));
  return layer;
}

// Log-density of x under y = 4 x, y standard normal.
double expected(const std::vector<float> &x) {
  double sum = 0;
  for (float v : x)
    sum += std::log(4.0) - 0.5 * (16.0 * v * v + std::log(2 * 3.14159265358979323846));
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
  glow_layer *layer = make_doubling(context, 2);
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
  glow_forward_options forward_options = GLOW_FORWARD_OPTIONS_INIT;
  forward_options.latents = latents.data();
  forward_options.log_prob = &log_prob;
  check(glow_workspace_forward(workspace, x.data(), 1, &forward_options));
  check(glow_workspace_inverse(workspace, latents.data(), 1, nullptr, back.data()));
  std::printf("libglow %s: log-density %.6f\n", glow_version(), log_prob);
  if (std::fabs(log_prob - expected(x)) > 1e-5 || back != x || latents[0] != 2.0f)
    throw std::runtime_error("the layer's results are wrong");
  if (glow_workspace_forward(workspace, nullptr, 1, nullptr) != GLOW_E_ARGUMENT)
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
