//! The epochs of a run: train, validate, keep the best, write down how it went.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::checkpoint::{Best, Checkpoint};
use super::loader::Loader;
use super::metrics::to_csv;
use super::{
    BatchProgress, EpochMetrics, FitOptions, Observer, Pictures, Schedule, Tally, TrainError,
    Trainer,
};
use crate::file::write_atomic;
use crate::recipe::{BestBy, Recipe};

/// The name of the table of epochs in the folder of a run.
pub(super) const METRICS: &str = "metrics.csv";

/// A run under way.
pub(super) struct Run<'a> {
    pub(super) recipe: &'a Recipe,
    pub(super) options: &'a FitOptions<'a>,
    pub(super) pictures: &'a Pictures<'a>,
    /// Batches of an epoch.
    pub(super) batches: usize,
    pub(super) schedule: Schedule,
    pub(super) validation: Vec<usize>,
    pub(super) checkpoint: Checkpoint,
    pub(super) stop: &'a AtomicBool,
    pub(super) observer: &'a mut dyn Observer,
}

impl Run<'_> {
    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether too many epochs have gone by since the best one.
    pub(super) fn out_of_patience(&self) -> bool {
        let best = self.checkpoint.best.as_ref();
        let since = best.map_or(0, |best| self.checkpoint.progress.epochs - best.epoch);
        let patience = self.recipe.train.early_stop;
        patience.is_some_and(|patience| since >= patience)
    }

    /// Whether there is an epoch left to train.
    pub(super) fn is_under_way(&self) -> bool {
        self.checkpoint.progress.epochs < self.recipe.train.epochs && !self.out_of_patience()
    }

    /// All epochs that are left; true if it was interrupted.
    pub(super) fn epochs(
        &mut self,
        trainer: &mut Trainer,
        loader: &mut Loader,
    ) -> Result<bool, TrainError> {
        let progress = &self.checkpoint.progress;
        let done = progress.epochs * self.batches + progress.batches;
        let all = self.recipe.train.epochs.saturating_mul(self.batches);
        self.observer.start(trainer, all.saturating_sub(done));
        while self.is_under_way() {
            let before = Instant::now();
            let seconds_before = self.checkpoint.progress.seconds;
            let complete = self.train_epoch(trainer, loader)?;
            let validated = if complete {
                self.validate(trainer)?
            } else {
                None
            };
            let Some(validation) = validated else {
                self.save(trainer)?;
                return Ok(true);
            };
            let seconds = seconds_before + before.elapsed().as_secs_f64();
            self.finish_epoch(trainer, validation, seconds)?;
        }
        Ok(false)
    }

    /// The batches of an epoch that are left; false if it was interrupted.
    fn train_epoch(
        &mut self,
        trainer: &mut Trainer,
        loader: &mut Loader,
    ) -> Result<bool, TrainError> {
        let epoch = self.checkpoint.progress.epochs;
        let (start, seconds_before) = (Instant::now(), self.checkpoint.progress.seconds);
        let mut saved = start;
        while self.checkpoint.progress.batches < self.batches {
            if self.stopped() {
                return Ok(false);
            }
            // There is none only after a panic of the loader, which ends the run.
            let Some(mut batch) = loader.next() else {
                return Ok(false);
            };
            let progress = &mut self.checkpoint.progress;
            let rates = self.schedule.at(epoch * self.batches + progress.batches);
            trainer.set_rates(rates);
            let tally = trainer.step_batch(&mut batch)?;
            loader.give_back(batch);
            if !tally.loss.is_finite() {
                return Err(TrainError::Diverged {
                    loss: tally.loss,
                    epoch: epoch + 1,
                    batch: progress.batches + 1,
                    learning_rate: rates.learning_rate,
                });
            }
            progress.tally.merge(&tally);
            progress.batches += 1;
            progress.seconds = seconds_before + start.elapsed().as_secs_f64();
            progress.loader_wait += loader.take_waited().as_secs_f64();
            let images_per_second = progress.tally.samples as f64 / progress.seconds;
            self.observer.batch(&BatchProgress {
                epoch: epoch + 1,
                batch: progress.batches,
                tally: progress.tally,
                images_per_second,
            });
            if saved.elapsed() >= self.options.checkpoint_every {
                self.save(trainer)?;
                saved = Instant::now();
            }
        }
        Ok(true)
    }

    /// The validation samples' tally, `Some(None)` if there are none; `None` if it was interrupted.
    fn validate(&mut self, trainer: &mut Trainer) -> Result<Option<Option<Tally>>, TrainError> {
        if self.validation.is_empty() {
            return Ok(Some(None));
        }
        let stop = self.stop;
        let go_on = || !stop.load(Ordering::Relaxed);
        let tally = trainer.evaluate_kept(self.pictures, &self.validation, &go_on)?;
        Ok(tally.map(|tally| Some(tally.total())))
    }

    fn finish_epoch(
        &mut self,
        trainer: &mut Trainer,
        validation: Option<Tally>,
        seconds: f64,
    ) -> Result<(), TrainError> {
        let progress = std::mem::take(&mut self.checkpoint.progress);
        let epochs = progress.epochs + 1;
        let last_step = (epochs * self.batches).saturating_sub(1);
        let of_classes = self.recipe.loss.is_of_classes();
        let metrics = EpochMetrics {
            epoch: epochs,
            train_loss: progress.tally.mean_loss(),
            train_accuracy: of_classes.then(|| progress.tally.accuracy()),
            validation_loss: validation.map(|tally| tally.mean_loss()),
            validation_accuracy: validation
                .filter(|_| of_classes)
                .map(|tally| tally.accuracy()),
            learning_rate: self.schedule.at(last_step).learning_rate,
            images_per_second: progress.tally.samples as f64 / progress.seconds,
            loader_wait: progress.loader_wait,
            seconds,
        };
        self.checkpoint.progress.epochs = epochs;
        let best = self.is_best(&metrics);
        self.take_snapshot(trainer)?;
        if best {
            self.checkpoint.best = Some(Best {
                epoch: metrics.epoch,
                loss: metrics.validation_loss.unwrap_or(metrics.train_loss),
                accuracy: metrics.validation_accuracy.or(metrics.train_accuracy),
                values: self.checkpoint.kept().clone(),
            });
        }
        self.checkpoint.history.push(metrics);
        self.observer.epoch(&metrics, best);
        self.write_metrics()?;
        self.checkpoint.save(self.options.folder)?;
        Ok(())
    }

    /// Whether an epoch is better than the best before it. Without validation there is nothing to choose by: the
    /// last epoch is taken.
    fn is_best(&self, metrics: &EpochMetrics) -> bool {
        let accuracy = metrics.validation_accuracy;
        let (Some(best), Some(loss)) = (&self.checkpoint.best, metrics.validation_loss) else {
            return true;
        };
        match self.recipe.train.best {
            BestBy::Loss => loss < best.loss,
            BestBy::Accuracy => {
                accuracy > best.accuracy || (accuracy == best.accuracy && loss < best.loss)
            }
        }
    }

    pub(super) fn write_metrics(&self) -> Result<(), TrainError> {
        let of_classes = self.recipe.loss.is_of_classes();
        let csv = to_csv(&self.checkpoint.history, of_classes);
        Ok(write_atomic(&self.options.folder.join(METRICS), &csv)?)
    }

    fn save(&mut self, trainer: &mut Trainer) -> Result<(), TrainError> {
        self.take_snapshot(trainer)?;
        self.checkpoint.save(self.options.folder)?;
        Ok(())
    }

    fn take_snapshot(&mut self, trainer: &mut Trainer) -> Result<(), TrainError> {
        let snapshot = trainer.snapshot()?;
        self.checkpoint.values = snapshot.values;
        self.checkpoint.average = snapshot.average;
        self.checkpoint.optimizer_steps = snapshot.optimizer_steps;
        self.checkpoint.optimizer_state = snapshot.optimizer_state;
        Ok(())
    }
}
