//! Figures of many fail-overs.

use std::time::Duration;

use super::{Failover, Fault};

/// Values, sorted.
#[derive(Clone, Debug)]
pub struct Figures(Vec<u64>);

impl Figures {
    /// Of these values.
    pub fn of(values: impl IntoIterator<Item = u64>) -> Self {
        let mut values: Vec<u64> = values.into_iter().collect();
        values.sort_unstable();
        Self(values)
    }

    /// The smallest value that `share` percent of all do not exceed; zero without any values.
    pub fn percentile(&self, share: usize) -> u64 {
        let index = (self.0.len() * share).div_ceil(100).saturating_sub(1);
        self.0.get(index).copied().unwrap_or(0)
    }

    /// `median [min-max]`.
    pub fn range(&self) -> String {
        let (min, max) = (self.percentile(0), self.percentile(100));
        format!("{} [{min}-{max}]", self.percentile(50))
    }
}

/// All figures of a run, in milliseconds.
pub fn table(done: &[Failover], propagation: Duration) -> String {
    let column = format!("balancer (propagation {} s{})", propagation.as_secs(), modelled(propagation));
    let mut text =
        format!("{:<34}{:>34}{:>26}\n", "MILLISECONDS, median [min-max]", column, "HAProxy 250 ms x 1");
    for fault in [Fault::Kill, Fault::Freeze] {
        let these: Vec<&Failover> = done.iter().filter(|failover| failover.fault == fault).collect();
        let of = |value: fn(&Failover) -> u64| Figures::of(these.iter().map(|failover| value(failover)));
        let (ours, theirs) = (of(|failover| failover.outage), of(|failover| failover.outage_haproxy));
        let name = if fault == Fault::Kill { "SIGKILL" } else { "SIGSTOP" };
        text += &format!(
            "{:<34}{:>34}{:>26}\n",
            format!("outage after {name} ({})", these.len()),
            ours.range(),
            theirs.range()
        );
        text += &format!(
            "{:<34}{:>34}{:>26}\n",
            format!("  new master after {name}"),
            of(|f| f.elected).range(),
            "(the same)"
        );
        let ratio = |share| theirs.percentile(share).saturating_mul(100) / ours.percentile(share).max(1);
        text += &format!("{:<34}{:>33}%\n", "  HAProxy's median of ours", ratio(50));
    }
    let reactions = Figures::of(done.iter().filter_map(|failover| failover.reaction));
    text += &format!(
        "{:<34}{:>34}   p95 {}, maximum {}\n",
        "new master to first deregister",
        reactions.range(),
        reactions.percentile(95),
        reactions.percentile(100)
    );
    let (lost, acknowledged) = (sum(done, |f| f.lost), sum(done, |f| f.acknowledged));
    text + &format!("acknowledged writes lost: {lost} of {acknowledged}\n")
}

fn modelled(propagation: Duration) -> &'static str {
    if propagation.is_zero() { "" } else { ", modelled" }
}

fn sum(done: &[Failover], value: fn(&Failover) -> usize) -> usize {
    done.iter().map(value).sum()
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let figures = Figures::of((1..=20).rev());
        assert_eq!((figures.percentile(0), figures.percentile(50), figures.percentile(95)), (1, 10, 19));
        assert_eq!(figures.percentile(100), 20);
        assert_eq!(figures.range(), "10 [1-20]");
        assert_eq!(Figures::of([]).percentile(50), 0);
    }
}
