//! What other frameworks compute against what kinglet does: layers and training of PyTorch's, files of its, ONNX's and
//! TensorFlow Lite's.

mod constant;
mod layers;
mod onnx;
mod pytorch;
mod read_again;
mod tflite;
#[cfg(feature = "verify")]
mod verify;
mod weights;
