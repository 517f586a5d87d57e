// A convolution as a product of matrices: im2col writes the values that each output sees side by side, col2im
// goes back with gradients.
//
// input, d_input [samples, in_height, in_width, channels]
// columns        [samples, out_height, out_width, groups, kernel_h, kernel_w, channels / groups]

// Writes what each output sees; the padding is 0.
// Work-items: place in a row of columns, pixel of the output in all samples.
__kernel void im2col(
    __global const float *input, uint input_at, __global float *columns, uint columns_at,
    int pixels, int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left, int groups) {
    const int place = get_global_id(0), pixel = get_global_id(1);
    const int row_len = kernel_h * kernel_w * channels;
    if (place >= row_len || pixel >= pixels) {
        return;
    }
    const int group_channels = channels / groups;
    const int taps = place / group_channels, channel = place - taps * group_channels;
    const int group = taps / (kernel_h * kernel_w), tap = taps - group * (kernel_h * kernel_w);
    const int tap_y = tap / kernel_w, tap_x = tap - tap_y * kernel_w;
    const int row = pixel / out_width, out_x = pixel - row * out_width;
    const int sample = row / out_height, out_y = row - sample * out_height;
    const int y = out_y * stride_h + tap_y * dilation_h - padding_top;
    const int x = out_x * stride_w + tap_x * dilation_w - padding_left;
    float value = 0.0f;
    if (y >= 0 && y < in_height && x >= 0 && x < in_width) {
        const int in_pixel = (sample * in_height + y) * in_width + x;
        value = input[input_at + in_pixel * channels + group * group_channels + channel];
    }
    columns[columns_at + pixel * row_len + place] = value;
}

// Adds up, for each value of the input, the gradients of all its copies in columns. It gathers: each sum has one
// work-item, which takes its terms in the order of the output's pixels.
// Work-items: channel, pixel of the input in all samples.
__kernel void col2im(
    __global const float *columns, uint columns_at, __global float *d_input, uint d_input_at,
    int pixels, int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left, int groups) {
    const int channel = get_global_id(0), pixel = get_global_id(1);
    if (channel >= channels || pixel >= pixels) {
        return;
    }
    columns += columns_at;
    const int row = pixel / in_width, x = pixel - row * in_width;
    const int sample = row / in_height, y = row - sample * in_height;
    const int group_channels = channels / groups;
    const int taps = kernel_h * kernel_w * group_channels;
    const int group = channel / group_channels;
    const int first = group * taps + channel - group * group_channels;
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
            const int out_pixel = (sample * out_height + out_y) * out_width + out_x;
            sum += columns[out_pixel * (groups * taps) + first + (tap_y * kernel_w + tap_x) * group_channels];
        }
    }
    d_input[d_input_at + pixel * channels + channel] = sum;
}
