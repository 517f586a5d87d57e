//! What the learning rate is in each step: PyTorch's schedules as functions of the step's number, so that a run
//! that continues needs nothing but that number.

use std::f64::consts::PI;

use crate::recipe::{Anneal, Curve, OneCycle, OptimizerSettings, ScheduleSettings};

/// What an optimizer is told anew for each step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// `lr`.
    pub learning_rate: f64,
    /// `momentum`, of Adam the first beta; the optimizer's own if none.
    pub momentum: Option<f64>,
}

/// A recipe's schedule for a known number of steps.
#[derive(Debug, Clone)]
pub struct Schedule {
    settings: ScheduleSettings,
    /// The optimizer's own learning rate.
    base: f64,
    epochs: usize,
    steps_per_epoch: usize,
}

impl Schedule {
    /// The schedule of `epochs` epochs of `steps_per_epoch` steps each.
    pub fn new(
        settings: &ScheduleSettings,
        optimizer: &OptimizerSettings,
        epochs: usize,
        steps_per_epoch: usize,
    ) -> Self {
        Self {
            settings: settings.clone(),
            base: optimizer.learning_rate(),
            epochs,
            steps_per_epoch: steps_per_epoch.max(1),
        }
    }

    /// The rates of step number `step` of the whole run, from 0.
    pub fn at(&self, step: usize) -> Rates {
        let epoch = step / self.steps_per_epoch;
        let (learning_rate, momentum) = match &self.settings.curve {
            Curve::Constant => (self.base, None),
            Curve::Step { step_size, gamma } => {
                (self.base * power(*gamma, epoch / (*step_size).max(1)), None)
            }
            Curve::MultiStep { milestones, gamma } => {
                let passed = milestones.iter().filter(|&&milestone| milestone <= epoch);
                (self.base * power(*gamma, passed.count()), None)
            }
            Curve::CosineAnnealing { t_max, eta_min } => {
                let t_max = t_max.unwrap_or(self.epochs).max(1);
                let turn = PI * epoch as f64 / t_max as f64;
                let down = (1.0 + turn.cos()) / 2.0;
                (eta_min + (self.base - eta_min) * down, None)
            }
            Curve::OneCycle(cycle) => one_cycle(
                cycle,
                step,
                self.epochs.saturating_mul(self.steps_per_epoch),
            ),
        };
        Rates {
            learning_rate: learning_rate * self.warmup(step),
            momentum,
        }
    }

    /// The part of the curve's value that is reached: 1 once the warm-up is over.
    fn warmup(&self, step: usize) -> f64 {
        let steps = self
            .settings
            .warmup_epochs
            .saturating_mul(self.steps_per_epoch);
        if step < steps {
            (step + 1) as f64 / steps as f64
        } else {
            1.0
        }
    }
}

fn power(base: f64, exponent: usize) -> f64 {
    base.powi(i32::try_from(exponent).unwrap_or(i32::MAX))
}

/// Learning rate and momentum of a step of `OneCycleLR` with its two phases.
fn one_cycle(cycle: &OneCycle, step: usize, total: usize) -> (f64, Option<f64>) {
    let start = cycle.max_lr / cycle.div_factor;
    let end = start / cycle.final_div_factor;
    let step = step as f64;
    let last = total.saturating_sub(1) as f64;
    let top = cycle.pct_start * total as f64 - 1.0;
    let falling = |[base, max]: [f64; 2]| [max, base];
    let (rates, momenta, done) = if step <= top {
        let momenta = cycle.momentum.map(falling);
        ([start, cycle.max_lr], momenta, step / top)
    } else {
        (
            [cycle.max_lr, end],
            cycle.momentum,
            (step - top) / (last - top),
        )
    };
    // A phase of no length is over: a run of one step begins at its end.
    let done = if done.is_finite() { done } else { 1.0 };
    let between = |[from, to]: [f64; 2]| match cycle.anneal {
        Anneal::Cosine => to + (from - to) / 2.0 * ((PI * done).cos() + 1.0),
        Anneal::Linear => (to - from) * done + from,
    };
    (between(rates), momenta.map(between))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::recipe::Recipe;

    fn recipe(sections: &str) -> Recipe {
        let text =
            format!("input = [1, 2, 2]\nlayers = [\"Flatten()\", \"Linear(4, 2)\"]\n{sections}");
        Recipe::parse(&text, Path::new("test.toml")).unwrap()
    }

    fn schedule(recipe: &Recipe, epochs: usize, steps: usize) -> Schedule {
        Schedule::new(&recipe.schedule, &recipe.optimizer, epochs, steps)
    }

    #[test]
    fn every_step_has_the_rates_of_pytorch() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/schedules.toml");
        let manifest: toml::Table = std::fs::read_to_string(path).unwrap().parse().unwrap();
        let cases = manifest["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 9);
        for case in cases {
            let name = &case["name"];
            let mut sections = toml::Table::new();
            for section in ["optimizer", "schedule"] {
                sections.insert(section.to_owned(), case[section].clone());
            }
            let recipe = recipe(&toml::to_string(&sections).unwrap());
            let count = |key: &str| case[key].as_integer().unwrap() as usize;
            let schedule = schedule(&recipe, count("epochs"), count("steps"));
            let numbers = |key: &str| {
                let numbers = case[key].as_array().unwrap().iter();
                numbers.map(|x| x.as_float().unwrap()).collect::<Vec<f64>>()
            };
            let (rates, momenta) = (numbers("learning_rates"), numbers("momenta"));
            assert_eq!(rates.len(), count("epochs") * count("steps"));
            let cycles =
                matches!(&recipe.schedule.curve, Curve::OneCycle(c) if c.momentum.is_some());
            for (step, (&rate, &momentum)) in rates.iter().zip(&momenta).enumerate() {
                let found = schedule.at(step);
                // PyTorch goes from step to step, so its roundings add up.
                let near = |a: f64, b: f64| (a - b).abs() <= 1e-12;
                assert!(
                    near(found.learning_rate, rate),
                    "{name}, step {step}: {found:?}, {rate}"
                );
                assert_eq!(found.momentum.is_some(), cycles, "{name}");
                let own = found.momentum.is_none_or(|found| near(found, momentum));
                assert!(own, "{name}, step {step}: {found:?}, {momentum}");
            }
        }
    }

    #[test]
    fn warming_up_rises_step_by_step_to_the_curve() {
        let recipe = recipe("[optimizer]\ntype = \"SGD\"\nlr = 1\n[schedule]\nwarmup_epochs = 2");
        let schedule = schedule(&recipe, 5, 2);
        let rates: Vec<f64> = (0..6).map(|step| schedule.at(step).learning_rate).collect();
        assert_eq!(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]);
    }

    #[test]
    fn a_cycle_of_one_step_is_at_its_end() {
        let recipe = recipe("[schedule]\ntype = \"OneCycleLR\"\nmax_lr = 1");
        let rates = schedule(&recipe, 1, 1).at(0);
        assert!(
            rates.learning_rate.is_finite() && rates.learning_rate <= 1.0,
            "{rates:?}"
        );
    }

    #[test]
    fn wrong_schedules_say_what_is_possible() {
        let error = |sections: &str| {
            let text =
                format!("input = [1, 2, 2]\nlayers = [\"Flatten()\"]\n[schedule]\n{sections}");
            Recipe::parse(&text, Path::new("r.toml"))
                .unwrap_err()
                .to_string()
        };
        assert_eq!(
            error("type = \"Cosine\""),
            "r.toml:4: type = \"Cosine\" is not possible; it must be \"StepLR\", \"MultiStepLR\", \
             \"CosineAnnealingLR\" or \"OneCycleLR\""
        );
        assert_eq!(
            error("type = \"OneCycleLR\""),
            "r.toml:3: \"max_lr\" is missing in [schedule]; write for example: max_lr = 0.1"
        );
        assert_eq!(
            error("type = \"StepLR\"\nstep_size = 0"),
            "r.toml:5: step_size = 0 is not possible; it must be a whole number of at least 1"
        );
        assert_eq!(
            error("type = \"OneCycleLR\"\nmax_lr = 1\nwarmup_epochs = 3"),
            "r.toml:6: warmup_epochs = 3 is not possible; it must be 0 with OneCycleLR, which rises by itself \
             for pct_start of all steps"
        );
        assert_eq!(
            error("type = \"StepLR\"\nstep_size = 3\nmax_lr = 3"),
            "r.toml:6: unknown key \"max_lr\" in [schedule]; known are warmup_epochs, type, step_size, gamma"
        );
    }
}
