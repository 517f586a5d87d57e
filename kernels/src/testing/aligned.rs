//! Memory that begins where a session's does.

/// Elements of one byte, the first at a multiple of 64: packed weights or scratch.
#[derive(Debug)]
pub struct Aligned<T> {
    room: Vec<T>,
    start: usize,
    len: usize,
}

impl<T: Copy> Aligned<T> {
    /// `len` times `garbage`.
    pub fn new(len: usize, garbage: T) -> Self {
        let room = vec![garbage; len + 63];
        let start = room.as_ptr().align_offset(64);
        Self { room, start, len }
    }

    /// The elements.
    pub fn get(&self) -> &[T] {
        &self.room[self.start..][..self.len]
    }

    /// The elements, to be written.
    pub fn get_mut(&mut self) -> &mut [T] {
        &mut self.room[self.start..][..self.len]
    }
}
