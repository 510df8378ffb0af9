//! Ticks against a world in memory: what is started, what is not, and what is left in the bucket.

mod chaos;
mod days;
mod runs;
mod stage;
mod ticks;
