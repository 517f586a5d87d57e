// A convolution as a product of matrices: im2col writes the values that each output sees side by side, col2im
// goes back with gradients.
//
// input, d_input [samples, in_height, in_width, channels]
// columns        [samples, out_height, out_width, groups, kernel_h, kernel_w, channels / groups]

// Writes what each output sees; the padding is 0.
// Work-items: channel, pixel of the output in all samples.
__kernel void im2col(
    __global const float *input, uint input_at, __global float *columns, uint columns_at,
    int pixels, int in_height, int in_width, int channels, int out_height, int out_width,
    int kernel_h, int kernel_w, int stride_h, int stride_w, int dilation_h, int dilation_w,
    int padding_top, int padding_left, int groups) {
    const int channel = get_global_id(0), pixel = get_global_id(1);
    if (channel >= channels || pixel >= pixels) {
        return;
    }
    const int row = pixel / out_width, out_x = pixel - row * out_width;
    const int sample = row / out_height, out_y = row - sample * out_height;
    const int group_channels = channels / groups, taps = kernel_h * kernel_w;
    const int group = channel / group_channels;
    input += input_at + sample * in_height * in_width * channels + channel;
    // The group's first tap of this channel.
    columns += columns_at + pixel * taps * channels + group * taps * group_channels
        + channel - group * group_channels;
    const int top = out_y * stride_h - padding_top, left = out_x * stride_w - padding_left;
    for (int tap_y = 0; tap_y < kernel_h; ++tap_y) {
        const int y = top + tap_y * dilation_h;
        for (int tap_x = 0; tap_x < kernel_w; ++tap_x) {
            const int x = left + tap_x * dilation_w;
            const int is_inside = y >= 0 && y < in_height && x >= 0 && x < in_width;
            *columns = is_inside ? input[(y * in_width + x) * channels] : 0.0f;
            columns += group_channels;
        }
    }
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
    const int last_y = last_window(y + padding_top, stride_h, out_height);
    const int last_x = last_window(x + padding_left, stride_w, out_width);
    const int first_y = first_window(y + padding_top, (kernel_h - 1) * dilation_h + 1, stride_h);
    const int first_x = first_window(x + padding_left, (kernel_w - 1) * dilation_w + 1, stride_w);
    for (int out_y = first_y; out_y <= last_y; ++out_y) {
        const int tap_y = tap_at(y + padding_top - out_y * stride_h, dilation_h);
        if (tap_y < 0) {
            continue;
        }
        for (int out_x = first_x; out_x <= last_x; ++out_x) {
            const int tap_x = tap_at(x + padding_left - out_x * stride_w, dilation_w);
            if (tap_x < 0) {
                continue;
            }
            const int out_pixel = (sample * out_height + out_y) * out_width + out_x;
            sum += columns[out_pixel * (groups * taps) + first + (tap_y * kernel_w + tap_x) * group_channels];
        }
    }
    d_input[d_input_at + pixel * channels + channel] = sum;
}
