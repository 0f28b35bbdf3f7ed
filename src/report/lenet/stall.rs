//! Where a training stands still at first, and what its gradients are like there.
//!
//! With sigmoids the accuracy of LeNet stays at that of guessing for many steps: the question that learners ask most. On the
//! way back from the loss each sigmoid multiplies a gradient by s (1 - s), which is 1/4 at most, so the first layers hear
//! little of the loss and learn late (Glorot and Bengio 2010, "Understanding the difficulty of training deep feedforward
//! neural networks", AISTATS; LeCun, Bottou, Orr, Mueller 1998, "Efficient BackProp", section 4.4). Whether and where it
//! stands still, this file finds from the numbers alone.
//!
//! Next to read: `curves.rs`.

use super::History;

/// Accuracy is looked at over so many steps; that of one batch jumps.
pub(super) const WINDOW: usize = 20;

/// What ten classes give by guessing, twice.
pub(super) const THRESHOLD: f64 = 0.2;

/// The beginning of a training, up to where it learns.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stall {
    /// The number of the first step and of the last one before the accuracy has risen.
    pub from: u64,
    pub to: u64,
    /// Whether it has risen at all.
    pub over: bool,
    /// The accuracy until there: the mean over its steps.
    pub accuracy: f64,
    /// The median of each layer's gradient norm until there.
    pub gradients: Vec<(String, f64)>,
}

impl Stall {
    /// `None` where the training learns at once, within two windows, or its beginning is not known.
    pub fn find(history: &History) -> Option<Stall> {
        let steps = &history.steps;
        let first = steps.first().filter(|step| history.number(step) == 1)?;
        let accuracies: Vec<f64> = steps.iter().map(|step| step.accuracy).collect();
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let risen = accuracies.windows(WINDOW).position(|window| mean(window) > THRESHOLD);
        let end = risen.map_or(steps.len(), |at| at + WINDOW - 1);
        if end < 2 * WINDOW {
            return None;
        }
        let still = &steps[..end];
        let gradients = first.gradient_norm.iter().map(|(layer, _)| {
            let norms = still.iter().flat_map(|step| &step.gradient_norm).filter(|(name, _)| name == layer);
            (layer.clone(), median(norms.map(|(_, norm)| *norm).collect()))
        });
        Some(Stall {
            from: 1,
            to: history.number(&still[end - 1]),
            over: risen.is_some(),
            accuracy: mean(&accuracies[..end]),
            gradients: gradients.collect(),
        })
    }
}

/// The value in the middle.
pub(super) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::save::log::Step;

    fn history(accuracies: impl IntoIterator<Item = f64>) -> History {
        let mut history = History::default();
        for (i, accuracy) in accuracies.into_iter().enumerate() {
            let gradient_norm = vec![("a".to_string(), 0.5), ("b".to_string(), i as f64)];
            let (step, steps) = (i as u64 + 1, 100);
            history.steps.push(Step { epoch: 1, step, steps, accuracy, gradient_norm, ..Step::default() });
        }
        history
    }

    #[test]
    fn the_stall_ends_where_the_mean_of_twenty_steps_exceeds_a_fifth() {
        // 60 steps at 0.1; from then on 0.5: the mean of 20 is above 0.2 once six of them are, at step 66.
        let stall = Stall::find(&history((0..100).map(|i| if i < 60 { 0.1 } else { 0.5 }))).unwrap();
        assert_eq!((stall.from, stall.to, stall.over), (1, 65, true));
        assert_eq!(stall.gradients, [("a".to_string(), 0.5), ("b".to_string(), 32.0)]);
        assert!((stall.accuracy - (60.0 * 0.1 + 5.0 * 0.5) / 65.0).abs() < 1e-12);
        assert!(!Stall::find(&history([0.1; 50])).unwrap().over);
    }

    #[test]
    fn a_training_that_learns_at_once_does_not_stand_still() {
        assert_eq!(Stall::find(&history([0.5; 100])), None);
        assert_eq!(Stall::find(&history([0.1; 10])), None, "too short to tell");
        let mut later = history([0.1; 100]);
        later.steps.iter_mut().for_each(|step| step.epoch = 2);
        assert_eq!(Stall::find(&later), None, "its beginning is not known");
    }
}
