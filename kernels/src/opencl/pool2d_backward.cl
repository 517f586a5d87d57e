// Gradients of pools. Each value of the input gathers from the windows that it is in, in their order.
//
// input, d_input [samples, in_height, in_width, channels]
// d_output       [samples, out_height, out_width, channels]
// Work-items of both: channel, pixel of the input in all samples.

// The position, as a tap, of the first maximum of the window from (top, left) on; a NaN is a maximum.
// `input` is the sample's first value of the channel.
int first_maximum(
    __global const float *input, int top, int left, int in_height, int in_width, int channels,
    int kernel_h, int kernel_w, int dilation_h, int dilation_w) {
    int position = -1;
    float maximum = 0.0f;
    for (int tap = 0; tap < kernel_h * kernel_w; ++tap) {
        const int tap_y = tap / kernel_w, tap_x = tap - tap_y * kernel_w;
        const int y = top + tap_y * dilation_h, x = left + tap_x * dilation_w;
        if (y < 0 || y >= in_height || x < 0 || x >= in_width) {
            continue;
        }
        const float value = input[(y * in_width + x) * channels];
        if (position < 0 || value > maximum || (isnan(value) && !isnan(maximum))) {
            position = tap;
            maximum = value;
        }
    }
    return position;
}

// The gradient of each output goes to the first position, in row-major order, that holds the maximum.
__kernel void max_pool2d_backward(
    __global const float *input, uint input_at, __global const float *d_output, uint d_output_at,
    __global float *d_input, uint d_input_at,
    int pixels, int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left) {
    const int channel = get_global_id(0), pixel = get_global_id(1);
    if (channel >= channels || pixel >= pixels) {
        return;
    }
    const int row = pixel / in_width, x = pixel - row * in_width;
    const int sample = row / in_height, y = row - sample * in_height;
    input += input_at + sample * in_height * in_width * channels + channel;
    d_output += d_output_at + sample * out_height * out_width * channels + channel;
    float sum = 0.0f;
    for (int tap_y = kernel_h - 1; tap_y >= 0; --tap_y) {
        const int out_y = window_from(y + padding_top - tap_y * dilation_h, stride_h, out_height);
        if (out_y < 0) {
            continue;
        }
        for (int tap_x = kernel_w - 1; tap_x >= 0; --tap_x) {
            const int out_x = window_from(x + padding_left - tap_x * dilation_w, stride_w, out_width);
            if (out_x < 0) {
                continue;
            }
            const int maximum = first_maximum(
                input, y - tap_y * dilation_h, x - tap_x * dilation_w, in_height, in_width, channels,
                kernel_h, kernel_w, dilation_h, dilation_w);
            if (maximum == tap_y * kernel_w + tap_x) {
                sum += d_output[(out_y * out_width + out_x) * channels];
            }
        }
    }
    d_input[d_input_at + pixel * channels + channel] = sum;
}

// Taps of the window from `start` on that lie in from..to.
inline int taps_within(int start, int kernel_extent, int dilation, int from, int to) {
    int taps = 0;
    for (int tap = 0; tap < kernel_extent; ++tap) {
        const int position = start + tap * dilation;
        taps += position >= from && position < to;
    }
    return taps;
}

// An average divides by the taps within rows -count_top..in_height + count_bottom, likewise for columns: the
// padding where it counts, else 0.
__kernel void avg_pool2d_backward(
    __global const float *d_output, uint d_output_at, __global float *d_input, uint d_input_at,
    int pixels, int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left, int count_top, int count_bottom, int count_left, int count_right) {
    const int channel = get_global_id(0), pixel = get_global_id(1);
    if (channel >= channels || pixel >= pixels) {
        return;
    }
    const int row = pixel / in_width, x = pixel - row * in_width;
    const int sample = row / in_height, y = row - sample * in_height;
    d_output += d_output_at + sample * out_height * out_width * channels + channel;
    float sum = 0.0f;
    for (int tap_y = kernel_h - 1; tap_y >= 0; --tap_y) {
        const int out_y = window_from(y + padding_top - tap_y * dilation_h, stride_h, out_height);
        if (out_y < 0) {
            continue;
        }
        const int rows = taps_within(
            y - tap_y * dilation_h, kernel_h, dilation_h, -count_top, in_height + count_bottom);
        for (int tap_x = kernel_w - 1; tap_x >= 0; --tap_x) {
            const int out_x = window_from(x + padding_left - tap_x * dilation_w, stride_w, out_width);
            if (out_x < 0) {
                continue;
            }
            const int columns = taps_within(
                x - tap_x * dilation_w, kernel_w, dilation_w, -count_left, in_width + count_right);
            sum += d_output[(out_y * out_width + out_x) * channels] / (float)(rows * columns);
        }
    }
    d_input[d_input_at + pixel * channels + channel] = sum;
}
