//! How long a hello to one server takes there and back: the average that selection compares, and the
//! minimum that no operation can go below.

use std::collections::VecDeque;
use std::time::Duration;

use super::server::{WEIGHT, average_round_trip};

#[derive(Clone, Debug, Default)]
pub struct RoundTrips {
    average: Option<Duration>,
    /// The latest, oldest first.
    samples: VecDeque<Duration>,
}

impl RoundTrips {
    pub fn add(&mut self, sample: Duration) {
        self.average = Some(average_round_trip(self.average, sample));
        self.keep(sample);
    }

    /// Somebody else averaged one more sample, which follows from the average before. Of several the
    /// latest comes out, roughly: never below zero, and the next one sets it right.
    pub fn hear_average(&mut self, average: Duration) {
        let before = self.average.replace(average);
        if before == Some(average) {
            return; // nothing new
        }
        let sample = match before {
            None => average,
            Some(before) => {
                let added = average.saturating_sub(before.mul_f64(1.0 - WEIGHT));
                added.div_f64(WEIGHT)
            }
        };
        self.keep(sample);
    }

    pub fn average(&self) -> Option<Duration> {
        self.average
    }

    /// Zero until there are two samples: the first one may have been a chance.
    pub fn minimum(&self) -> Duration {
        let enough = self.samples.len() >= FEWEST;
        self.samples.iter().min().copied().filter(|_| enough).unwrap_or_default()
    }

    fn keep(&mut self, sample: Duration) {
        if self.samples.len() == MOST {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

const FEWEST: usize = 2;
const MOST: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_minimum_is_that_of_the_last_ten() {
        let mut trips = RoundTrips::default();
        trips.add(ms(5));
        assert_eq!(trips.minimum(), ms(0));
        trips.add(ms(9));
        assert_eq!(trips.minimum(), ms(5));
        for _ in 0..9 {
            trips.add(ms(8));
        }
        assert_eq!(trips.minimum(), ms(8));
    }

    #[test]
    fn samples_follow_from_another_s_averages() {
        let (mut ours, mut theirs) = (RoundTrips::default(), RoundTrips::default());
        for sample in [20, 4, 4, 30, 7] {
            theirs.add(ms(sample));
            ours.hear_average(theirs.average().unwrap());
            ours.hear_average(theirs.average().unwrap());
        }
        assert_eq!(ours.samples.len(), 5);
        let off = ours.minimum().abs_diff(ms(4));
        assert!(off < Duration::from_micros(1), "{off:?}");
    }
}
