//! Figures of many repetitions.

/// Values, sorted.
#[derive(Clone, Debug)]
pub struct Figures<T>(Vec<T>);

impl<T: Copy + Default + Ord> Figures<T> {
    /// Of these values.
    pub fn of(values: impl IntoIterator<Item = T>) -> Self {
        let mut values: Vec<T> = values.into_iter().collect();
        values.sort_unstable();
        Self(values)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The smallest value that `share` percent of all do not exceed; zero without any values.
    pub fn percentile(&self, share: usize) -> T {
        let index = (self.0.len() * share).div_ceil(100).saturating_sub(1);
        self.0.get(index).copied().unwrap_or_default()
    }

    /// The middle one.
    pub fn median(&self) -> T {
        self.percentile(50)
    }

    /// The largest one. Of thirty it is the 99th percentile too, so that name would say more than is known.
    pub fn maximum(&self) -> T {
        self.percentile(100)
    }
}

impl Figures<u64> {
    /// `median [minimum-maximum] of how many`; a dash without any values.
    pub fn range(&self) -> String {
        if self.is_empty() {
            return "-".into();
        }
        format!("{} [{}-{}] of {}", self.median(), self.percentile(0), self.maximum(), self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::Figures;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let figures = Figures::of((1..=20).rev());
        assert_eq!((figures.percentile(0), figures.median(), figures.percentile(95)), (1, 10, 19));
        assert_eq!(figures.maximum(), 20);
        assert_eq!(figures.range(), "10 [1-20] of 20");
        assert_eq!((Figures::of([]).median(), Figures::of([]).range().as_str()), (0_u64, "-"));
    }
}
