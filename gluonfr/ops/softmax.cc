// Softmax cross-entropy of a classifier, in one pass over the outputs forward and one backward.
//
// The operators compute what is proportional to the number of classes; margins are computed outside, on one number per sample.
// Compiled without -ffast-math, so that NaN and infinity keep their meaning.

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <locale>
#include <sstream>
#include <string>
#include <unordered_map>
#include <vector>

#include <omp.h>

#include "mxnet/lib_api.h"

using namespace mxnet::ext;

namespace {

typedef std::unordered_map<std::string, std::string> Attributes;

const float kInfinity = std::numeric_limits<float>::infinity();
// Classes that are processed together: their logits stay in the first-level cache.
const int64_t kBlock = 1024;
const int kLanes = 32;

// Loops over a block are functions of their own: inlined into the loops around them, GCC does not vectorize some.
#define KERNEL __attribute__((noinline))

std::string text(const Attributes& attributes, const char* name, const char* otherwise) {
  const auto found = attributes.find(name);
  return found == attributes.end() ? otherwise : found->second;
}

// Independent of the locale, unlike std::stof.
float number(const Attributes& attributes, const char* name, const char* otherwise) {
  std::istringstream stream(text(attributes, name, otherwise));
  stream.imbue(std::locale::classic());
  float value = 0.0f;
  stream >> value;
  return value;
}

bool flag(const Attributes& attributes, const char* name) { return text(attributes, name, "0") == "1"; }

// exp(x) for x <= 0, to a few units in the last place, and 0 below -80. NaN stays NaN. The compiler vectorizes it.
inline float exp_of_negative(float x) {
  const float rounding = 12582912.0f;  // 1.5 * 2^23: adding it leaves the nearest integer in the low bits.
  const float shifted = x * 1.44269504f + rounding;
  const float n = shifted - rounding;
  const float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  float sum = 1.0f / 5040;
  sum = sum * r + 1.0f / 720;
  sum = sum * r + 1.0f / 120;
  sum = sum * r + 1.0f / 24;
  sum = sum * r + 1.0f / 6;
  sum = sum * r + 0.5f;
  sum = sum * r + 1.0f;
  sum = sum * r + 1.0f;
  uint32_t bits;
  std::memcpy(&bits, &shifted, sizeof(bits));
  bits = (bits + 127u) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof(power));
  return x < -80.0f ? 0.0f : sum * power;
}

// The largest of `count` numbers; NaN is ignored. In lanes, because a single maximum is not vectorized without -ffast-math.
KERNEL float largest_of(const float* z, int64_t count) {
  float lanes[kLanes];
  std::fill(lanes, lanes + kLanes, -kInfinity);
  int64_t first = 0;
  for (; first + kLanes <= count; first += kLanes) {
#pragma omp simd
    for (int k = 0; k < kLanes; k++) lanes[k] = z[first + k] > lanes[k] ? z[first + k] : lanes[k];
  }
  for (; first < count; first++) lanes[0] = z[first] > lanes[0] ? z[first] : lanes[0];
  return *std::max_element(lanes, lanes + kLanes);
}

KERNEL float sum_of_exp(const float* z, int64_t count, float largest) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < count; j++) sum += exp_of_negative(z[j] - largest);
  return sum;
}

// 0, or NaN where a number is NaN or infinite, which maxima and exponentials would hide.
KERNEL float zero_if_finite(const float* x, int64_t count) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < count; j++) sum += x[j] * 0.0f;
  return sum;
}

// How the outputs of the other classes are changed before they are scaled; see gluonfr/loss/margin.
struct Unchanged {
  float value(float x) const { return x; }
  float slope(float) const { return 1.0f; }
};

struct SupportVector {
  float bound, t;
  float value(float x) const { return x > bound ? t * x + (t - 1.0f) : x; }
  float slope(float x) const { return x > bound ? t : 1.0f; }
};

struct Curricular {
  float bound, t;
  float value(float x) const { return x > bound ? x * (x + t) : x; }
  float slope(float x) const { return x > bound ? 2.0f * x + t : 1.0f; }
};

struct Circle {
  float m;
  float weight(float x) const { return x + m > 0.0f ? x + m : 0.0f; }
  float value(float x) const { return weight(x) * (x - m); }
  // The weight is a constant in the gradient.
  float slope(float x) const { return weight(x); }
};

template <typename Changed>
KERNEL void scaled_values(Changed change, float s, const float* x, int64_t count, float* to) {
#pragma omp simd
  for (int64_t j = 0; j < count; j++) to[j] = s * change.value(x[j]);
}

template <typename Changed>
KERNEL void scaled_values(Changed change, float s, const float* norms, const float* x, int64_t count, float* to) {
#pragma omp simd
  for (int64_t j = 0; j < count; j++) to[j] = s * norms[j] * change.value(x[j]);
}

template <typename Changed>
KERNEL void multiply_by_slopes(Changed change, float s, const float* x, const float* p, int64_t count, float* to) {
#pragma omp simd
  for (int64_t j = 0; j < count; j++) to[j] = p[j] * s * change.slope(x[j]);
}

// Probabilities times values: the gradient of the scale without its constant factor.
template <typename Changed>
KERNEL double sum_of_values(Changed change, const float* x, const float* p, int64_t count) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < count; j++) sum += p[j] * change.value(x[j]);
  return sum;
}

// The gradients of outputs, norms and scale together, where each class has a norm.
template <typename Changed>
KERNEL double multiply_by_norms(Changed change, float s, const float* norms, const float* x, const float* p, int64_t count,
                                float* to, float* to_norms) {
  float sum = 0.0f;
#pragma omp simd reduction(+ : sum)
  for (int64_t j = 0; j < count; j++) {
    const float value = p[j] * change.value(x[j]);
    to_norms[j] += s * value;
    sum += norms[j] * value;
    to[j] = p[j] * s * norms[j] * change.slope(x[j]);
  }
  return sum;
}

KERNEL void add(const float* x, int64_t count, float* to) {
#pragma omp simd
  for (int64_t j = 0; j < count; j++) to[j] += x[j];
}

// Logits to softmax probabilities times `gradient`, in place. Those above `sum` are the own class, whose place is not used, and
// others by a unit in the last place.
KERNEL void probabilities(float sum, float gradient, int64_t count, float* z) {
#pragma omp simd
  for (int64_t j = 0; j < count; j++) z[j] = gradient * exp_of_negative(z[j] > sum ? 0.0f : z[j] - sum);
}

KERNEL void larger_center(const float* x, int64_t centers, bool is_first, int64_t count, float* to) {
#pragma omp simd
  for (int64_t j = 0; j < count; j++) to[j] = is_first || to[j] < x[j * centers] ? x[j * centers] : to[j];
}

// The gradient of a maximum: to every center that has it. With a number of centers that the compiler knows, it vectorizes this.
template <int kCenters>
KERNEL void spread_to_centers(const float* x, const float* largest, const float* gradient, int64_t centers, int64_t count,
                              float* to) {
  const int64_t known = kCenters == 0 ? centers : kCenters;
#pragma omp simd
  for (int64_t j = 0; j < count; j++) {
    for (int64_t k = 0; k < known; k++) to[j * known + k] = x[j * known + k] == largest[j] ? gradient[j] : 0.0f;
  }
}

void spread(const float* x, const float* largest, const float* gradient, int64_t centers, int64_t count, float* to) {
  switch (centers) {
    case 2: return spread_to_centers<2>(x, largest, gradient, centers, count, to);
    case 3: return spread_to_centers<3>(x, largest, gradient, centers, count, to);
    case 4: return spread_to_centers<4>(x, largest, gradient, centers, count, to);
    default: return spread_to_centers<0>(x, largest, gradient, centers, count, to);
  }
}

enum class Change { kNone, kSupportVector, kCurricular, kCircle };

// The attributes of the operator and which of the optional inputs it has, in this order.
struct Options {
  bool scale, norms, offset;
  Change change;
  int64_t centers;
  float factor, t;

  explicit Options(const Attributes& attributes)
      : scale(flag(attributes, "scale")), norms(flag(attributes, "norms")), offset(flag(attributes, "offset")),
        change(Change::kNone), centers(std::stoll(text(attributes, "centers", "1"))),
        factor(number(attributes, "factor", "1")), t(number(attributes, "t", "0")) {
    const std::string name = text(attributes, "change", "none");
    if (name == "support_vector") change = Change::kSupportVector;
    if (name == "curricular") change = Change::kCurricular;
    if (name == "circle") change = Change::kCircle;
  }

  bool has_bound() const { return change == Change::kSupportVector || change == Change::kCurricular; }
  bool has_t() const { return change == Change::kCurricular; }
  int inputs() const { return 2 + scale + norms + offset + has_bound() + has_t(); }
};

int64_t label_of(MXTensor& labels, int64_t row) {
  switch (labels.dtype) {
    case kInt32: return labels.data<int32_t>()[row];
    case kInt64: return labels.data<int64_t>()[row];
    case kInt8: return labels.data<int8_t>()[row];
    case kUint8: return labels.data<uint8_t>()[row];
    default: return static_cast<int64_t>(labels.data<float>()[row]);
  }
}

size_t size_of(MXDType dtype) {
  switch (dtype) {
    case kInt64: return 8;
    case kInt8: return 1;
    case kUint8: return 1;
    default: return 4;
  }
}

// The inputs of one call, without the gradients that come first in the backward call.
struct Inputs {
  Options options;
  int64_t rows, classes;
  MXTensor* labels;
  const float* output;
  const float *scale = nullptr, *norms = nullptr, *offset = nullptr, *bound = nullptr, *t = nullptr;
  bool scale_per_row = false;
  // Places of scale and norms among the inputs.
  int scale_place = -1, norms_place = -1;

  Inputs(const Attributes& attributes, std::vector<MXTensor>* tensors, int first) : options(attributes) {
    MXTensor& matrix = tensors->at(first);
    rows = matrix.shape[0];
    classes = matrix.shape[1] / options.centers;
    output = matrix.data<float>();
    labels = &tensors->at(first + 1);
    int place = 2;
    if (options.scale) {
      scale_place = place;
      scale_per_row = tensors->at(first + place).size() != 1;
      scale = tensors->at(first + place++).data<float>();
    }
    if (options.norms) {
      norms_place = place;
      norms = tensors->at(first + place++).data<float>();
    }
    if (options.offset) offset = tensors->at(first + place++).data<float>();
    if (options.has_bound()) bound = tensors->at(first + place++).data<float>();
    if (options.has_t()) t = tensors->at(first + place++).data<float>();
  }

  float scale_of(int64_t row) const {
    return options.factor * (scale == nullptr ? 1.0f : scale[scale_per_row ? row : 0]);
  }

  // Calls `function` with the change of the outputs of a row.
  template <typename Function>
  void with_change(int64_t row, const Function& function) const {
    switch (options.change) {
      case Change::kSupportVector: return function(SupportVector{bound[row], options.t});
      case Change::kCurricular: return function(Curricular{bound[row], t[0]});
      case Change::kCircle: return function(Circle{options.t});
      default: return function(Unchanged());
    }
  }

  // The outputs of `count` classes from `first` on: the largest over their centers, in `room` where there are several.
  const float* class_outputs(int64_t row, int64_t first, int64_t count, float* room) const {
    const int64_t centers = options.centers;
    const float* x = output + (row * classes + first) * centers;
    if (centers == 1) return x;
    for (int64_t k = 0; k < centers; k++) larger_center(x + k, centers, k == 0, count, room);
    return room;
  }

  // The logits of a block, in `z`.
  template <typename Changed>
  void logits(const Changed& change, float s, const float* x, int64_t first, int64_t count, float* z) const {
    if (norms == nullptr) {
      scaled_values(change, s, x, count, z);
    } else {
      scaled_values(change, s, norms + first, x, count, z);
    }
    if (offset != nullptr) add(offset + first, count, z);
  }
};

// --- Forward: the log-sum-exp of the other classes, and the output of the own class ---

template <typename Changed>
float log_sum_exp_of_row(const Inputs& in, const Changed& change, int64_t row, int64_t label, float* own) {
  alignas(64) float room[kBlock], z[kBlock];
  const float s = in.scale_of(row);
  float largest = -kInfinity, invalid = 0.0f;
  double total = 0.0;
  *own = 0.0f;
  for (int64_t first = 0; first < in.classes; first += kBlock) {
    const int64_t count = std::min(kBlock, in.classes - first);
    const float* x = in.class_outputs(row, first, count, room);
    const float* all = in.output + (row * in.classes + first) * in.options.centers;
    invalid += zero_if_finite(all, count * in.options.centers);
    in.logits(change, s, x, first, count, z);
    if (label >= first && label < first + count) {
      *own = x[label - first];
      z[label - first] = -kInfinity;
    }
    const float block_largest = largest_of(z, count);
    if (block_largest > largest) {
      total *= std::exp(static_cast<double>(largest) - block_largest);
      largest = block_largest;
    }
    if (largest == -kInfinity) continue;
    total += sum_of_exp(z, count, largest);
  }
  return static_cast<float>(std::log(total) + largest) + invalid;
}

MXReturnValue forward(const Attributes& attributes, std::vector<MXTensor>* inputs, std::vector<MXTensor>* outputs,
                      const OpResource&) {
  const Inputs in(attributes, inputs, 0);
  float* sums = outputs->at(0).data<float>();
  float* own = outputs->at(1).data<float>();
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < in.rows; row++) {
    const int64_t label = label_of(*in.labels, row);
    in.with_change(row, [&](const auto& change) { sums[row] = log_sum_exp_of_row(in, change, row, label, own + row); });
  }
  return MX_SUCCESS;
}

// --- Backward ---

// Gradients of a block of a row; returns the contribution to that of the scale.
template <typename Changed>
double backward_of_block(const Inputs& in, const Changed& change, int64_t row, int64_t first, int64_t label, float sum,
                         float gradient, float gradient_of_own, float* to_output, float* to_norms) {
  alignas(64) float room[kBlock], p[kBlock], d[kBlock];
  const float s = in.scale_of(row);
  const int64_t count = std::min(kBlock, in.classes - first), centers = in.options.centers;
  const float* x = in.class_outputs(row, first, count, room);
  const bool here = label >= first && label < first + count;
  double to_scale = 0.0;
  float* w = centers == 1 ? to_output + row * in.classes + first : d;
  in.logits(change, s, x, first, count, p);
  probabilities(sum, gradient, count, p);
  if (here) p[label - first] = 0.0f;
  if (to_norms != nullptr) {
    to_scale = multiply_by_norms(change, s, in.norms + first, x, p, count, w, to_norms + first);
  } else {
    if (in.options.scale) to_scale = sum_of_values(change, x, p, count);
    multiply_by_slopes(change, s, x, p, count, w);
  }
  if (here) w[label - first] = gradient_of_own;
  if (centers > 1) {
    const int64_t begin = (row * in.classes + first) * centers;
    spread(in.output + begin, x, w, centers, count, to_output + begin);
  }
  return to_scale * in.options.factor;
}

MXReturnValue backward(const Attributes& attributes, std::vector<MXTensor>* inputs, std::vector<MXTensor>* outputs,
                       const OpResource&) {
  // Gradients of the two outputs, the inputs, the two outputs.
  const Inputs in(attributes, inputs, 2);
  const float* gradient = inputs->at(0).data<float>();
  const float* gradient_of_own = inputs->at(1).data<float>();
  const float* sums = inputs->at(2 + in.options.inputs()).data<float>();
  for (size_t i = 1; i < outputs->size(); i++) {
    MXTensor& tensor = outputs->at(i);
    std::memset(tensor.data_ptr, 0, tensor.size() * size_of(tensor.dtype));
  }
  float* to_output = outputs->at(0).data<float>();
  float* to_norms = in.norms == nullptr ? nullptr : outputs->at(in.norms_place).data<float>();
  std::vector<double> to_scale(in.rows, 0.0);
  const auto compute = [&](int64_t row, int64_t first) {
    double added = 0.0;
    in.with_change(row, [&](const auto& change) {
      added = backward_of_block(in, change, row, first, label_of(*in.labels, row), sums[row], gradient[row],
                                gradient_of_own[row], to_output, to_norms);
    });
    return added;
  };
  if (to_norms == nullptr) {
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < in.rows; row++) {
      for (int64_t first = 0; first < in.classes; first += kBlock) to_scale[row] += compute(row, first);
    }
  } else {
    // Each thread has a range of the classes, because the gradients of the norms are sums over the rows. Rows are added in one
    // order, so that the result depends on the number of threads alone.
    const int64_t threads = omp_get_max_threads(), blocks = (in.classes + kBlock - 1) / kBlock;
    std::vector<double> parts(threads * in.rows, 0.0);
#pragma omp parallel for schedule(static)
    for (int64_t part = 0; part < threads; part++) {
      for (int64_t row = 0; row < in.rows; row++) {
        for (int64_t block = part * blocks / threads; block < (part + 1) * blocks / threads; block++) {
          parts[part * in.rows + row] += compute(row, block * kBlock);
        }
      }
    }
    for (size_t i = 0; i < parts.size(); i++) to_scale[i % in.rows] += parts[i];
  }
  if (in.options.scale) {
    float* to = outputs->at(in.scale_place).data<float>();
    double whole = 0.0;
    for (int64_t row = 0; row < in.rows; row++) {
      if (in.scale_per_row) to[row] = static_cast<float>(to_scale[row]);
      whole += to_scale[row];
    }
    if (!in.scale_per_row) to[0] = static_cast<float>(whole);
  }
  return MX_SUCCESS;
}

MXReturnValue parse(const Attributes& attributes, int* inputs, int* outputs) {
  *inputs = Options(attributes).inputs();
  *outputs = 2;
  return MX_SUCCESS;
}

MXReturnValue infer_type(const Attributes&, std::vector<int>* inputs, std::vector<int>* outputs) {
  for (size_t i = 0; i < inputs->size(); i++) {
    if (i != 1 && inputs->at(i) != kFloat32 && inputs->at(i) != -1) {
      MX_ERROR_MSG << "gluonfr operators compute in float32 only";
      return MX_FAIL;
    }
    if (i != 1 || inputs->at(i) == -1) inputs->at(i) = kFloat32;
  }
  std::fill(outputs->begin(), outputs->end(), static_cast<int>(kFloat32));
  return MX_SUCCESS;
}

typedef std::vector<std::vector<unsigned int>> Shapes;

MXReturnValue infer_shape(const Attributes&, Shapes* inputs, Shapes* outputs) {
  if (inputs->at(0).size() != 2) {
    MX_ERROR_MSG << "the outputs of a classifier are a matrix";
    return MX_FAIL;
  }
  const unsigned int rows = inputs->at(0)[0];
  outputs->at(0) = {rows};
  outputs->at(1) = {rows};
  return MX_SUCCESS;
}

REGISTER_OP(gluonfr_log_sum_exp_of_others)
    .setForward(forward, "cpu")
    .setBackward(backward, "cpu")
    .setParseAttrs(parse)
    .setInferType(infer_type)
    .setInferShape(infer_shape);

// --- Softmax cross-entropy from the log-sum-exp of the other classes and the target's logit, (N,) each ---

MXReturnValue cross_entropy_forward(const Attributes&, std::vector<MXTensor>* inputs, std::vector<MXTensor>* outputs,
                                    const OpResource&) {
  const float* others = inputs->at(0).data<float>();
  const float* target = inputs->at(1).data<float>();
  float* loss = outputs->at(0).data<float>();
  for (int64_t i = 0; i < inputs->at(0).size(); i++) {
    const double difference = static_cast<double>(others[i]) - target[i];
    loss[i] = static_cast<float>(difference > 0 ? difference + std::log1p(std::exp(-difference))
                                                : std::log1p(std::exp(difference)));
  }
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_backward(const Attributes&, std::vector<MXTensor>* inputs, std::vector<MXTensor>* outputs,
                                     const OpResource&) {
  const float* gradient = inputs->at(0).data<float>();
  const float* others = inputs->at(1).data<float>();
  const float* target = inputs->at(2).data<float>();
  float* to_others = outputs->at(0).data<float>();
  float* to_target = outputs->at(1).data<float>();
  for (int64_t i = 0; i < inputs->at(0).size(); i++) {
    const double difference = static_cast<double>(others[i]) - target[i];
    const double p = 1.0 / (1.0 + std::exp(-difference));
    to_others[i] = static_cast<float>(gradient[i] * p);
    to_target[i] = -to_others[i];
  }
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_parse(const Attributes&, int* inputs, int* outputs) {
  *inputs = 2;
  *outputs = 1;
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_shape(const Attributes&, Shapes* inputs, Shapes* outputs) {
  inputs->at(1) = outputs->at(0) = inputs->at(0);
  return MX_SUCCESS;
}

MXReturnValue cross_entropy_type(const Attributes&, std::vector<int>* inputs, std::vector<int>* outputs) {
  std::fill(inputs->begin(), inputs->end(), static_cast<int>(kFloat32));
  outputs->at(0) = kFloat32;
  return MX_SUCCESS;
}

REGISTER_OP(gluonfr_cross_entropy)
    .setForward(cross_entropy_forward, "cpu")
    .setBackward(cross_entropy_backward, "cpu")
    .setParseAttrs(cross_entropy_parse)
    .setInferType(cross_entropy_type)
    .setInferShape(cross_entropy_shape);

}  // namespace

MXReturnValue initialize(int) { return MX_SUCCESS; }
