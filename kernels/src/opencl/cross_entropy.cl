// Cross-entropy of logits against classes, and what it says about the batch.

// For each sample the loss, whether its largest logit (the first of equals) is that of its class, and the gradient
// of the batch's mean loss. Label smoothing as in torch.nn.CrossEntropyLoss: this part of the target is shared by
// all classes.
// logits, d_logits [samples, classes]; labels [samples]; outcomes [2, samples]: losses, then 1 for a
// hit and else 0. A class that is none has a NaN for its loss and no gradient.
// Work-items: sample.
__kernel void cross_entropy(
    __global const float *logits, uint logits_at, __global const uint *labels, uint labels_at,
    __global float *d_logits, uint d_logits_at, __global float *outcomes, uint outcomes_at,
    int samples, int classes, float smoothing) {
    const int sample = get_global_id(0);
    if (sample >= samples) {
        return;
    }
    logits += logits_at + sample * classes;
    d_logits += d_logits_at + sample * classes;
    outcomes += outcomes_at + sample;
    const uint label = labels[labels_at + sample];
    float maximum = -INFINITY, total = 0.0f;
    int largest = 0;
    for (int i = 0; i < classes; ++i) {
        const float x = logits[i];
        maximum = x > maximum || isnan(x) ? x : maximum;
        largest = x > logits[largest] ? i : largest;
        total += x;
    }
    outcomes[samples] = (uint)largest == label ? 1.0f : 0.0f;
    if (label >= (uint)classes) {
        outcomes[0] = NAN;
        for (int i = 0; i < classes; ++i) {
            d_logits[i] = 0.0f;
        }
        return;
    }
    float sum = 0.0f;
    for (int i = 0; i < classes; ++i) {
        sum += exp(logits[i] - maximum);
    }
    const float share = smoothing / (float)classes;
    for (int i = 0; i < classes; ++i) {
        const float target = (uint)i == label ? 1.0f - smoothing + share : share;
        d_logits[i] = (exp(logits[i] - maximum) / sum - target) / (float)samples;
    }
    const float of_class = logits[label];
    outcomes[0] = log(sum) - (of_class - maximum) + smoothing * (of_class - total / (float)classes);
}

// 1 if all losses are finite, else 0: then no step is taken.
// One work-item: the batch is small.
__kernel void losses_are_finite(
    __global const float *outcomes, uint outcomes_at, __global float *finite, uint finite_at, int samples) {
    if (get_global_id(0) != 0) {
        return;
    }
    int all = 1;
    for (int sample = 0; sample < samples; ++sample) {
        all &= isfinite(outcomes[outcomes_at + sample]);
    }
    finite[finite_at] = all ? 1.0f : 0.0f;
}
