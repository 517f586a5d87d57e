//! Weights in words, channel beside channel, in panels of as many channels as a register has lanes.
//!
//! First the corrections of all channels, `i32` each, then the panels. In a panel the words of a window follow each other,
//! of each word that of every channel. Weights that there are not are 0.

use super::{Sums, Word};
use crate::params::RowOrder;

/// Where the words of a window and its channels lie in packed weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed {
    /// Independent groups of output channels; a panel has channels of one of them.
    pub(super) groups: usize,
    /// Output channels of a group.
    pub(super) channels: usize,
    /// Runs of a window: weights that lie one after the other, as do the terms that they are multiplied with.
    pub(super) runs: usize,
    /// Weights of a run.
    pub(super) run: usize,
}

impl Packed {
    /// Words of a run.
    pub(super) fn words<S: Sums>(&self) -> usize {
        self.run.div_ceil(S::Word::TERMS)
    }

    /// Panels of a group.
    pub(super) fn panels<S: Sums>(&self) -> usize {
        self.channels.div_ceil(S::LANES)
    }

    /// Channels of all panels.
    fn padded<S: Sums>(&self) -> usize {
        let panels = self.groups.saturating_mul(self.panels::<S>());
        panels.saturating_mul(S::LANES)
    }

    /// Bytes of a panel.
    pub(super) fn panel_len<S: Sums>(&self) -> usize {
        let words = self.runs.saturating_mul(self.words::<S>());
        words.saturating_mul(4 * S::LANES)
    }

    /// Bytes of the corrections.
    pub(super) fn corrections_len<S: Sums>(&self) -> usize {
        self.padded::<S>().saturating_mul(4)
    }

    /// Bytes of it all.
    pub(super) fn len<S: Sums>(&self) -> usize {
        let panels = self.groups.saturating_mul(self.panels::<S>());
        let panels = panels.saturating_mul(self.panel_len::<S>());
        panels.saturating_add(self.corrections_len::<S>())
    }

    /// Packs weights: for each channel `runs` runs of `run` weights.
    pub(super) fn pack<S: Sums>(
        &self,
        zero_point: i8,
        (weights, order): (&[i8], RowOrder),
        packed: &mut [i8],
    ) {
        let taps = self.runs * self.run;
        let weights_len = order.len(self.groups * self.channels, taps);
        if packed.len() != self.len::<S>() || weights.len() != weights_len {
            debug_assert!(false, "weights {}, packed {}", weights.len(), packed.len());
            return;
        }
        let (corrections, panels) = packed.split_at_mut(self.corrections_len::<S>());
        panels.fill(0);
        let size = 4 / S::Word::TERMS;
        for group in 0..self.groups {
            for channel in 0..self.channels {
                let row = group * self.channels + channel;
                let weight = |tap| i32::from(order.get(weights, taps, (row, tap)));
                let panel = group * self.panels::<S>() + channel / S::LANES;
                let lane = channel % S::LANES;
                let panel_len = self.panel_len::<S>();
                let panel_bytes = &mut panels[panel * panel_len..][..panel_len];
                for run in 0..self.runs {
                    for i in 0..self.run {
                        let word = run * self.words::<S>() + i / S::Word::TERMS;
                        let at = (word * S::LANES + lane) * 4 + i % S::Word::TERMS * size;
                        let bytes = weight(run * self.run + i).to_le_bytes();
                        for (to, byte) in panel_bytes[at..at + size].iter_mut().zip(bytes) {
                            *to = byte as i8;
                        }
                    }
                }
                let sum: i32 = (0..taps).map(weight).sum();
                let correction = sum.wrapping_mul(S::Word::offset(zero_point)).to_le_bytes();
                let at = (panel * S::LANES + lane) * 4;
                for (to, byte) in corrections[at..at + 4].iter_mut().zip(correction) {
                    *to = byte as i8;
                }
            }
        }
    }
}
