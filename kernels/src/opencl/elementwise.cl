// A function of each of `count` elements, in place: four of them for each work-item of dimension 0.

// Products are rounded before sums, as on the CPU.
#pragma OPENCL FP_CONTRACT OFF

// A NaN stays a NaN, as on the CPU: clamp would drop it.
static inline float limit(float x, float low, float high) {
    return x < low ? low : x > high ? high : x;
}

// Without overflow: the exponential is of what is not positive. `fmax` would drop a NaN.
static inline float softplus(float x) {
    return log1p(exp(-fabs(x))) + (x < 0.0f ? 0.0f : x);
}

// `a` and `b` are the function's numbers, in the order of its definition.
static inline float apply(float x, int function, float a, float b) {
    switch (function) {
    case RELU:
        return x < 0.0f ? 0.0f : x;
    case RELU6:
        return limit(x, 0.0f, 6.0f);
    case LEAKY_RELU:
        return x > 0.0f ? x : x * a;
    case SIGMOID:
        return 1.0f / (1.0f + exp(-x));
    case TANH:
        return tanh(x);
    case CLIP:
        return limit(x, a, b);
    case ELU:
        return x > 0.0f ? x : expm1(x) * a;
    case HARD_SIGMOID:
        return limit(x * a + b, 0.0f, 1.0f);
    case HARD_SWISH:
        return limit(x * (1.0f / 6.0f) + 0.5f, 0.0f, 1.0f) * x;
    case SELU:
        return x > 0.0f ? x * b : expm1(x) * a * b;
    case SWISH:
        return x / (1.0f + exp(-(x * a)));
    case SOFTPLUS:
        return softplus(x);
    case SOFTSIGN:
        return x / (1.0f + fabs(x));
    case MISH:
        return tanh(softplus(x)) * x;
    case GELU:
        // Not 1 + erf: what a device lacks of -1 would be multiplied by a large x.
        return erfc(-(x * 0.70710677f)) * (x * 0.5f);
    case GELU_TANH:
        // 1 + tanh(u) is 2 / (1 + exp(-2 u)).
        return x / (1.0f + exp(-2.0f * ((x * x * 0.035677407f + 0.7978846f) * x)));
    case ERF:
        return erf(x);
    case ABS:
        return fabs(x);
    case EXP:
        return exp(x);
    case LOG:
        return log(x);
    case SQRT:
        return sqrt(x);
    case POWER:
        return pow(x, a);
    default:
        return x;
    }
}

__kernel void unary(__global storage *data, uint data_at, int count, int function, float a, float b) {
    const int first = get_global_id(0) * 4;
    if (first >= count)
        return;
    data += data_at;
    if (first + 4 <= count) {
        float4 x = LOAD4(data, first);
        x.s0 = apply(x.s0, function, a, b);
        x.s1 = apply(x.s1, function, a, b);
        x.s2 = apply(x.s2, function, a, b);
        x.s3 = apply(x.s3, function, a, b);
        STORE4(x, data, first);
    } else {
        for (int i = first; i < count; ++i)
            STORE(apply(LOAD(data, i), function, a, b), data, i);
    }
}
