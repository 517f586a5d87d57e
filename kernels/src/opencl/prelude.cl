// Put before every other file of this folder by the host.
//
// A tensor is a region of a large buffer: an argument `x` of elements in storage is followed by `x_at`, the
// offset of its first element. Storage is f32, or with HALF_STORAGE f16; sums are f32 in either case.
// vload_half and vstore_half are core OpenCL C: they need no cl_khr_fp16. All of these accept any
// multiple of one element.

#ifdef HALF_STORAGE
typedef half storage;
#define LOAD(p, i) vload_half(0, (p) + (i))
#define LOAD4(p, i) vload_half4(0, (p) + (i))
#define LOAD8(p, i) vload_half8(0, (p) + (i))
#define LOAD16(p, i) vload_half16(0, (p) + (i))
#define STORE(v, p, i) vstore_half((v), 0, (p) + (i))
#define STORE4(v, p, i) vstore_half4((v), 0, (p) + (i))
#define STORE8(v, p, i) vstore_half8((v), 0, (p) + (i))
#define STORE16(v, p, i) vstore_half16((v), 0, (p) + (i))
#else
typedef float storage;
#define LOAD(p, i) ((p)[i])
#define LOAD4(p, i) vload4(0, (p) + (i))
#define LOAD8(p, i) vload8(0, (p) + (i))
#define LOAD16(p, i) vload16(0, (p) + (i))
#define STORE(v, p, i) ((p)[i] = (v))
#define STORE4(v, p, i) vstore4((v), 0, (p) + (i))
#define STORE8(v, p, i) vstore8((v), 0, (p) + (i))
#define STORE16(v, p, i) vstore16((v), 0, (p) + (i))
#endif

// Every sum is a chain of these in the order of its terms, so that it has the same bits in any tile.
#ifdef FP_FAST_FMAF
#define MULTIPLY_ADD(a, b, sum) fma((a), (b), (sum))
#else
#define MULTIPLY_ADD(a, b, sum) mad((a), (b), (sum))
#endif

// Functions of one element, fused or alone. The numbers are the host's.
#define IDENTITY 0
#define RELU 1
#define RELU6 2
#define LEAKY_RELU 3
#define SIGMOID 4
#define TANH 5

// Functions are `static`: a plain `inline` one has no definition to link, and some drivers miss it.

// A NaN stays a NaN, as on the CPU: fmax would drop it.
static inline float activate(float x, int function, float slope) {
    switch (function) {
    case RELU:
        return x < 0.0f ? 0.0f : x;
    case RELU6:
        return x < 0.0f ? 0.0f : x > 6.0f ? 6.0f : x;
    case LEAKY_RELU:
        return x < 0.0f ? slope * x : x;
    case SIGMOID:
        return 1.0f / (1.0f + exp(-x));
    case TANH:
        return tanh(x);
    default:
        return x;
    }
}

// A quotient and its remainder are computed as `q = i / n, r = i - q * n` in all files. With `%` LLVM makes an
// instruction of the pair that Oclgrind's check for uninitialized values does not know.

// The window that starts at `start`, counted from the first padded position, of `windows` with that stride; -1 if
// none does. What a gradient gathers with: a tap of the window is fixed, its start follows.
static inline int window_from(int start, int stride, int windows) {
    const int window = start / stride;
    return start < 0 || window * stride != start || window >= windows ? -1 : window;
}
