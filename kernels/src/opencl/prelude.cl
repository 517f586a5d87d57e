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

// Functions of one element. The numbers are the host's.
#define RELU 1
#define RELU6 2
#define LEAKY_RELU 3
#define SIGMOID 4
#define TANH 5
#define CLIP 6
#define ELU 7
#define HARD_SIGMOID 8
#define HARD_SWISH 9
#define SELU 10
#define SWISH 11
#define SOFTPLUS 12
#define SOFTSIGN 13
#define MISH 14
#define GELU 15
#define GELU_TANH 16
#define ERF 17
#define ABS 18
#define EXP 19
#define LOG 20
#define SQRT 21
#define POWER 22

// Functions are `static`: a plain `inline` one has no definition to link, and some drivers miss it.

// A quotient and its remainder are computed as `q = i / n, r = i - q * n` in all files. With `%` LLVM makes an
// instruction of the pair that Oclgrind's check for uninitialized values does not know.

// What a gradient gathers with: the windows that see a position, which counts from the first of the padding, are among
// first_window..=last_window. `span` is how far a window reaches, `offset` how far it starts before the position.
inline int first_window(int position, int span, int stride) {
    return position < span ? 0 : (position - span) / stride + 1;
}

inline int last_window(int position, int stride, int windows) {
    return min(position / stride, windows - 1);
}

// The tap at `offset`; -1 if there is none, between the taps of a dilated window.
inline int tap_at(int offset, int dilation) {
    if (dilation == 1) {
        return offset;
    }
    const int tap = offset / dilation;
    return tap * dilation == offset ? tap : -1;
}
