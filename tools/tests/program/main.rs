//! The program `kinglet` as people and other programs start it.

mod arrays;
mod bench;
mod heads;
mod json;
mod quantize;
mod readme;
#[cfg(target_os = "linux")]
mod streams;
