// Cross-entropy of logits against classes, squared errors of values, and what losses say about the batch.

// For each sample the loss, whether its largest logit (the first of equals) is that of its class, and the gradient
// of the batch's loss: the sum of the samples' times `share`, one value. Label smoothing and weights of classes as in
// torch.nn.CrossEntropyLoss: this part of the target is shared by all classes, each with its own weight.
// logits, d_logits [samples, classes]; labels [samples]; weights [classes]; outcomes [2, samples]: losses, then 1 for a
// hit and else 0. A class that is none has a NaN for its loss and no gradient.
// Work-items: sample.
__kernel void cross_entropy(
    __global const float *logits, uint logits_at, __global const uint *labels, uint labels_at,
    __global const float *weights, uint weights_at, __global const float *share, uint share_at,
    __global float *d_logits, uint d_logits_at, __global float *outcomes, uint outcomes_at,
    int samples, int classes, float smoothing) {
    const int sample = get_global_id(0);
    if (sample >= samples) {
        return;
    }
    logits += logits_at + sample * classes;
    d_logits += d_logits_at + sample * classes;
    outcomes += outcomes_at + sample;
    weights += weights_at;
    const uint label = labels[labels_at + sample];
    float maximum = -INFINITY, total = 0.0f;
    int largest = 0;
    for (int i = 0; i < classes; ++i) {
        const float x = logits[i];
        maximum = x > maximum || isnan(x) ? x : maximum;
        largest = x > logits[largest] ? i : largest;
        total += weights[i];
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
    const float of_class = logits[label];
    const float loss = log(sum) - (of_class - maximum);
    // Of the target's 1 the class keeps this, and each gets that.
    const float kept = (1.0f - smoothing) * weights[label], each = smoothing / (float)classes;
    float of_all = 0.0f;
    for (int i = 0; i < classes; ++i) {
        const float probability = exp(logits[i] - maximum) / sum;
        const float from_class = (uint)i == label ? probability - 1.0f : probability;
        d_logits[i] = (kept * from_class + each * (probability * total - weights[i])) * share[share_at];
        of_all += weights[i] * (loss + (of_class - logits[i]));
    }
    // Without smoothing what is shared must not count even if it is infinite.
    outcomes[0] = kept * loss + (smoothing > 0.0f ? each * of_all : 0.0f);
}

// For each sample the mean square of its values' distances from the targets, and the gradient of the sum of all samples'
// times `share`, one value.
// values, targets, d_values [samples, len]; outcomes [2, samples]: losses, then 0: nothing is hit.
// Work-items: sample.
__kernel void squared_error(
    __global const float *values, uint values_at, __global const float *targets, uint targets_at,
    __global const float *share, uint share_at, __global float *d_values, uint d_values_at,
    __global float *outcomes, uint outcomes_at, int samples, int len) {
    const int sample = get_global_id(0);
    if (sample >= samples) {
        return;
    }
    values += values_at + sample * len;
    targets += targets_at + sample * len;
    d_values += d_values_at + sample * len;
    float sum = 0.0f;
    for (int i = 0; i < len; ++i) {
        const float distance = values[i] - targets[i];
        sum += distance * distance;
        d_values[i] = 2.0f * distance / (float)len * share[share_at];
    }
    outcomes[outcomes_at + sample] = sum / (float)len;
    outcomes[outcomes_at + samples + sample] = 0.0f;
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
