//! The section `[schedule]`: how the learning rate changes on the way, as `torch.optim.lr_scheduler` has it.

use super::error::Problem;
use super::keys;
use super::section::{Entry, Keys, Located, Section};

/// `[schedule]`. Without the section the learning rate stays the optimizer's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ScheduleSettings {
    /// What the learning rate follows.
    pub curve: Curve,
    /// Epochs over which it rises to the curve from near 0, step by step in a straight line. Default 0.
    pub warmup_epochs: usize,
}

/// What the learning rate follows.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Curve {
    /// It stays as it is.
    #[default]
    Constant,
    /// `StepLR`: every `step_size` epochs it is multiplied by `gamma` (default 0.1).
    Step {
        /// `step_size`.
        step_size: usize,
        /// `gamma`.
        gamma: f64,
    },
    /// `MultiStepLR`: at each of the `milestones` (epochs that are over) it is multiplied by `gamma` (default 0.1).
    MultiStep {
        /// `milestones`.
        milestones: Vec<usize>,
        /// `gamma`.
        gamma: f64,
    },
    /// `CosineAnnealingLR`: half a cosine down to `eta_min` (default 0).
    CosineAnnealing {
        /// `T_max`: epochs down to the minimum; all epochs if absent.
        t_max: Option<usize>,
        /// `eta_min`.
        eta_min: f64,
    },
    /// `OneCycleLR`: up and down again, step by step.
    OneCycle(OneCycle),
}

/// The arguments of `OneCycleLR`.
#[derive(Debug, Clone, PartialEq)]
pub struct OneCycle {
    /// `max_lr`: the largest learning rate.
    pub max_lr: f64,
    /// `pct_start`: the part of all steps in which it rises. Default 0.3.
    pub pct_start: f64,
    /// `anneal_strategy`. Default `"cos"`.
    pub anneal: Anneal,
    /// `div_factor`: it starts at `max_lr / div_factor`. Default 25.
    pub div_factor: f64,
    /// `final_div_factor`: it ends at its start divided by this. Default 10000.
    pub final_div_factor: f64,
    /// `base_momentum` and `max_momentum`, between which the momentum (of Adam the first beta) goes down and up;
    /// default 0.85 and 0.95. None if `cycle_momentum = false`.
    pub momentum: Option<[f64; 2]>,
}

/// How [`OneCycle`] goes from one value to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Anneal {
    /// Half a cosine.
    Cosine,
    /// A straight line.
    Linear,
}

impl ScheduleSettings {
    /// Whether the learning rate of a step depends on how many epochs there will be.
    pub fn depends_on_epochs(&self) -> bool {
        matches!(
            self.curve,
            Curve::OneCycle(_) | Curve::CosineAnnealing { t_max: None, .. }
        )
    }
}

const TYPES: &str = "\"StepLR\", \"MultiStepLR\", \"CosineAnnealingLR\" or \"OneCycleLR\"";

/// The keys of `[schedule]`.
pub(super) const KEYS: Keys = &[
    keys::SCHEDULE,
    keys::STEP,
    keys::MULTI_STEP,
    keys::COSINE,
    keys::ONE_CYCLE,
];

pub(super) fn read_schedule(mut section: Section) -> Located<ScheduleSettings> {
    if section.is_empty() {
        return Ok(ScheduleSettings::default());
    }
    let warmup = section.optional("warmup_epochs");
    let warmup_line = warmup.as_ref().map(|entry| entry.line);
    let warmup_epochs = warmup.map_or(Ok(0), |entry| entry.count(0))?;
    let curve = match section.optional("type") {
        None => Curve::Constant,
        Some(kind) => read_curve(kind, &mut section)?,
    };
    if let (Curve::OneCycle(_), Some(line), 1..) = (&curve, warmup_line, warmup_epochs) {
        let problem = Problem::Value {
            key: "warmup_epochs".to_owned(),
            found: warmup_epochs.to_string(),
            right: "0 with OneCycleLR, which rises by itself for pct_start of all steps".to_owned(),
        };
        return Err((line, problem));
    }
    section.end()?;
    Ok(ScheduleSettings {
        curve,
        warmup_epochs: usize::try_from(warmup_epochs).unwrap_or(usize::MAX),
    })
}

fn read_curve(kind: Entry, section: &mut Section) -> Located<Curve> {
    let line = kind.line;
    let kind = kind.string()?;
    Ok(match kind.as_str() {
        "StepLR" => Curve::Step {
            step_size: to_usize(section.required("step_size", "step_size = 10")?.count(1)?),
            gamma: gamma(section)?,
        },
        "MultiStepLR" => Curve::MultiStep {
            milestones: milestones(section)?,
            gamma: gamma(section)?,
        },
        "CosineAnnealingLR" => Curve::CosineAnnealing {
            t_max: match section.optional("T_max") {
                None => None,
                Some(entry) => Some(to_usize(entry.count(1)?)),
            },
            eta_min: number(section, "eta_min", 0.0, "a number of at least 0", |x| {
                x >= 0.0
            })?,
        },
        "OneCycleLR" => Curve::OneCycle(one_cycle(section)?),
        _ => {
            let problem = Problem::Value {
                key: "type".to_owned(),
                found: format!("{kind:?}"),
                right: TYPES.to_owned(),
            };
            return Err((line, problem));
        }
    })
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

fn number(
    section: &mut Section,
    key: &'static str,
    default: f64,
    right: &str,
    valid: impl Fn(f64) -> bool,
) -> Located<f64> {
    let entry = section.optional(key);
    entry.map_or(Ok(default), |entry| entry.number(right, valid))
}

fn gamma(section: &mut Section) -> Located<f64> {
    number(section, "gamma", 0.1, "a number above 0", |x| x > 0.0)
}

fn milestones(section: &mut Section) -> Located<Vec<usize>> {
    const RIGHT: &str = "a list of epochs, for example [15, 25]";
    let entry = section.required("milestones", "milestones = [15, 25]")?;
    let entries = entry.list(RIGHT)?;
    let counts = entries
        .into_iter()
        .map(|entry| entry.count(1).map(to_usize));
    counts.collect()
}

fn one_cycle(section: &mut Section) -> Located<OneCycle> {
    const POSITIVE: &str = "a number above 0";
    let anneal = match section.optional("anneal_strategy") {
        None => Anneal::Cosine,
        Some(entry) => {
            let line = entry.line;
            match entry.string()?.as_str() {
                "cos" => Anneal::Cosine,
                "linear" => Anneal::Linear,
                other => {
                    let problem = Problem::Value {
                        key: "anneal_strategy".to_owned(),
                        found: format!("{other:?}"),
                        right: "\"cos\" or \"linear\"".to_owned(),
                    };
                    return Err((line, problem));
                }
            }
        }
    };
    let cycled = section.optional("cycle_momentum");
    let cycled = cycled.map_or(Ok(true), Entry::flag)?;
    let mut momentum = |key, default| {
        number(section, key, default, "at least 0 and below 1", |x| {
            (0.0..1.0).contains(&x)
        })
    };
    let base = momentum("base_momentum", 0.85)?;
    let max = momentum("max_momentum", 0.95)?;
    Ok(OneCycle {
        max_lr: section
            .required("max_lr", "max_lr = 0.1")?
            .number(POSITIVE, |x| x > 0.0)?,
        pct_start: number(section, "pct_start", 0.3, "a fraction from 0 to 1", |x| {
            (0.0..=1.0).contains(&x)
        })?,
        anneal,
        div_factor: number(section, "div_factor", 25.0, POSITIVE, |x| x > 0.0)?,
        final_div_factor: number(section, "final_div_factor", 1e4, POSITIVE, |x| x > 0.0)?,
        momentum: cycled.then_some([base, max]),
    })
}
