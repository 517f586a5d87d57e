//! Batches made ready beside the training: pictures are transformed and normalized on threads of their own, a few
//! batches ahead, so that a step finds its input waiting.
//!
//! The order of batches is a function of seed and epoch, and each picture one of seed, epoch and its place in the
//! data set: neither the threads nor how far they are ahead changes a bit. Buffers go round between loader and
//! training; how many there are bounds how far the loader runs ahead.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Scope;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use super::{Pictures, Source, TrainError};
use crate::dataset::epoch_order;
use crate::transform::{Canvas, PictureKey, Transforms};

/// The most batches that lie ready: more would only take memory.
const MOST_READY: usize = 16;

/// Memory for batches that lie ready, where that allows at least two.
const READY_BYTES: usize = 64 << 20;

/// Threads that train for each one that loads: making a picture ready takes a small part of the time of its step.
const TRAINING_THREADS: usize = 8;

/// Samples ready for a step.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Normalized values, NHWC, one sample after the other; may be longer.
    pub input: Vec<f32>,
    /// The class of each sample.
    pub labels: Vec<usize>,
    /// What the outputs of each sample ought to be, where the loss is of values.
    pub targets: Vec<f32>,
    /// The place of each sample in its data set: part of dropout's key.
    pub samples: Vec<usize>,
    /// The epoch, from 0: part of dropout's key.
    pub epoch: u64,
}

/// The pictures to train on: transformed, then normalized.
#[derive(Clone, Copy)]
pub(super) struct TrainingPictures<'a> {
    pub(super) pictures: &'a Pictures<'a>,
    pub(super) transforms: &'a Transforms,
    pub(super) seed: u64,
    /// Values of a sample's target; 0 where that is a class.
    pub(super) target_len: usize,
}

impl TrainingPictures<'_> {
    /// Writes sample `sample` as it is in epoch `epoch`.
    fn write(&self, epoch: u64, sample: usize, canvas: &mut Canvas, output: &mut [f32]) {
        if self.transforms.is_empty() {
            return self.pictures.write(sample, output);
        }
        let (seed, shape) = (self.seed, self.pictures.shape());
        let key = PictureKey {
            seed,
            epoch,
            sample,
        };
        canvas.load(shape, self.pictures.image(sample));
        self.transforms.apply(key, canvas);
        self.pictures.normalize(canvas.pixels(), output);
        self.transforms.apply_normalized(key, shape, output);
    }
}

/// Which batches a run still has before it.
pub(super) struct Course {
    /// The samples to train on, in any order.
    pub(super) samples: Vec<usize>,
    pub(super) batch_size: usize,
    pub(super) seed: u64,
    /// The first epoch and the one after the last.
    pub(super) epochs: std::ops::Range<usize>,
    /// Batches of the first epoch that are done.
    pub(super) done: usize,
}

/// Gives out batches in their order.
pub(super) struct Loader {
    ready: Receiver<Batch>,
    free: Sender<Batch>,
    waited: Duration,
}

impl Loader {
    /// Starts to make the batches of `course` ready. The threads end with the course or when the loader is dropped.
    pub(super) fn start<'scope, 'env: 'scope>(
        scope: &'scope Scope<'scope, 'env>,
        pictures: TrainingPictures<'env>,
        course: Course,
        training_threads: usize,
    ) -> Result<Self, TrainError> {
        let threads = training_threads.div_ceil(TRAINING_THREADS);
        let pool = match threads {
            1 => None,
            _ => {
                let pool = ThreadPoolBuilder::new().num_threads(threads).build();
                Some(pool.map_err(|source| TrainError::Threads { threads, source })?)
            }
        };
        let (send_ready, ready) = channel();
        let (free, receive_free) = channel();
        let largest = course.batch_size.min(course.samples.len());
        let values = largest * pictures.pictures.shape().len();
        let buffers = (READY_BYTES / (size_of::<f32>() * values).max(1)).clamp(2, MOST_READY);
        for _ in 0..buffers {
            let buffer = Batch {
                input: vec![0.0; values],
                ..Batch::default()
            };
            // The other end is here.
            let _ = free.send(buffer);
        }
        let work = Work {
            pictures,
            pool,
            free: receive_free,
            ready: send_ready,
        };
        scope.spawn(move || work.run(course));
        Ok(Self {
            ready,
            free,
            waited: Duration::ZERO,
        })
    }

    /// The next batch; none when the course is over, or if the loader has panicked, which the scope passes on.
    pub(super) fn next(&mut self) -> Option<Batch> {
        if let Ok(batch) = self.ready.try_recv() {
            return Some(batch);
        }
        let start = Instant::now();
        let batch = self.ready.recv().ok();
        self.waited += start.elapsed();
        batch
    }

    /// Gives a batch's buffer back.
    pub(super) fn give_back(&self, batch: Batch) {
        // At the end of the course nobody wants it any more.
        let _ = self.free.send(batch);
    }

    /// How long training has waited for batches since this was last asked.
    pub(super) fn take_waited(&mut self) -> Duration {
        std::mem::take(&mut self.waited)
    }
}

/// The loader's own side.
struct Work<'a> {
    pictures: TrainingPictures<'a>,
    pool: Option<ThreadPool>,
    free: Receiver<Batch>,
    ready: Sender<Batch>,
}

impl Work<'_> {
    fn run(self, mut course: Course) {
        let mut canvas = Canvas::new();
        let mut done = course.done;
        for epoch in course.epochs.clone() {
            epoch_order(&mut course.samples, course.seed, epoch as u64);
            for samples in course.samples.chunks(course.batch_size.max(1)).skip(done) {
                // The training has ended when nobody gives back or takes.
                let Ok(mut batch) = self.free.recv() else {
                    return;
                };
                self.fill(&mut batch, samples, epoch as u64, &mut canvas);
                if self.ready.send(batch).is_err() {
                    return;
                }
            }
            done = 0;
        }
    }

    fn fill(&self, batch: &mut Batch, samples: &[usize], epoch: u64, canvas: &mut Canvas) {
        let pictures = &self.pictures;
        batch.epoch = epoch;
        batch.samples.clear();
        batch.samples.extend_from_slice(samples);
        let labels = samples
            .iter()
            .map(|&sample| pictures.pictures.label(sample));
        batch.labels.clear();
        batch.labels.extend(labels);
        let len = pictures.pictures.shape().len().max(1);
        match &self.pool {
            None => {
                for (output, &sample) in batch.input.chunks_mut(len).zip(samples) {
                    pictures.write(epoch, sample, canvas, output);
                }
            }
            Some(pool) => pool.install(|| {
                batch.input.par_chunks_mut(len).zip(samples).for_each_init(
                    Canvas::new,
                    |canvas, (output, &sample)| {
                        pictures.write(epoch, sample, canvas, output);
                    },
                );
            }),
        }
        let target_len = pictures.target_len;
        batch.targets.resize(samples.len() * target_len, 0.0);
        if target_len > 0 {
            let inputs = batch.input.chunks(len).zip(samples);
            for (target, (input, &sample)) in batch.targets.chunks_mut(target_len).zip(inputs) {
                pictures.pictures.write_target(sample, input, target);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use kinglet_kernels::Shape;

    use super::*;
    use crate::dataset::Dataset;
    use crate::recipe::Normalize;
    use crate::transform::{FlipAxis, RandomErasing, RandomFlip, Transform};

    /// All batches of a course, as bits.
    fn load(course: Course, training_threads: usize) -> Vec<(u64, Vec<usize>, Vec<u32>)> {
        let shape = Shape::new(4, 3, 1);
        let (images, labels) = ((0..23 * 12).map(|x| x as u8).collect(), vec![0; 23]);
        let dataset = Dataset::new(Path::new("x"), shape, images, labels).unwrap();
        let pictures = Pictures::new(&dataset, &Normalize::identity(1));
        let transforms = Transforms::new(vec![
            Transform::Flip(RandomFlip {
                axis: FlipAxis::Horizontal,
                probability: 0.5,
            }),
            Transform::Erasing(RandomErasing {
                probability: 0.5,
                scale: [0.1, 0.5],
                ratio: [0.5, 2.0],
                value: vec![9.0],
            }),
        ]);
        let pictures = TrainingPictures {
            pictures: &pictures,
            transforms: &transforms,
            seed: 5,
            target_len: 0,
        };
        std::thread::scope(|scope| {
            let mut loader = Loader::start(scope, pictures, course, training_threads).unwrap();
            let mut batches = Vec::new();
            while let Some(batch) = loader.next() {
                let values = &batch.input[..batch.samples.len() * shape.len()];
                let bits = values.iter().map(|x| x.to_bits()).collect();
                batches.push((batch.epoch, batch.samples.clone(), bits));
                loader.give_back(batch);
            }
            batches
        })
    }

    fn course(epochs: std::ops::Range<usize>, done: usize) -> Course {
        Course {
            samples: (0..23).collect(),
            batch_size: 5,
            seed: 5,
            epochs,
            done,
        }
    }

    #[test]
    fn batches_do_not_depend_on_threads_or_where_the_course_begins() {
        let all = load(course(0..4, 0), 1);
        assert_eq!(all.len(), 4 * 5);
        assert!(all == load(course(0..4, 0), 17));
        assert!(all[5 + 3..] == load(course(1..4, 3), 1));
        // An epoch sees each sample once, in an order of its own.
        let samples = |epoch: u64| -> Vec<usize> {
            let own = all.iter().filter(|batch| batch.0 == epoch);
            own.flat_map(|batch| batch.1.clone()).collect()
        };
        let (first, mut second) = (samples(0), samples(1));
        assert_ne!(first, second);
        second.sort_unstable();
        assert_eq!(second, (0..23).collect::<Vec<_>>());
    }

    #[test]
    fn a_loader_that_is_dropped_early_ends() {
        let dataset =
            Dataset::new(Path::new("x"), Shape::vector(1), vec![1; 9], vec![0; 9]).unwrap();
        let pictures = Pictures::new(&dataset, &Normalize::identity(1));
        let pictures = TrainingPictures {
            pictures: &pictures,
            transforms: &Transforms::default(),
            seed: 1,
            target_len: 0,
        };
        let course = Course {
            samples: (0..9).collect(),
            batch_size: 2,
            seed: 1,
            epochs: 0..usize::MAX,
            done: 0,
        };
        // The scope waits for the loader's thread: without an end this test would have none.
        std::thread::scope(|scope| {
            let mut loader = Loader::start(scope, pictures, course, 1).unwrap();
            assert!(loader.next().is_some());
        });
    }
}
