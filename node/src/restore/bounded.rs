//! A reader that gives no more than it is allowed to, which is changed between reads: what an archive claims of itself is believed
//! only as far as it was looked at.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

/// What is still allowed, bytes. Clones are of the same one.
#[derive(Clone, Debug, Default)]
pub struct Allowance(Rc<Left>);

#[derive(Debug, Default)]
struct Left {
    bytes: Cell<u64>,
    exceeded: Cell<bool>,
}

impl Allowance {
    pub fn set(&self, bytes: u64) {
        self.0.bytes.set(bytes);
    }

    /// Whether more was asked for than was allowed. The reader's error says it too, under whatever its callers wrap it in.
    pub fn is_exceeded(&self) -> bool {
        self.0.exceeded.get()
    }
}

/// The reader.
pub struct Bounded<R> {
    inner: R,
    allowance: Allowance,
}

impl<R> Bounded<R> {
    /// Nothing is allowed until `allowance` says so.
    pub fn new(inner: R, allowance: Allowance) -> Self {
        Self { inner, allowance }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.allowance.0.bytes.get()).unwrap_or(usize::MAX);
        let longest = into.len().min(left);
        if longest == 0 && !into.is_empty() {
            self.allowance.0.exceeded.set(true);
            return Err(io::Error::other("more bytes than allowed"));
        }
        let read = self.inner.read(&mut into[..longest])?;
        self.allowance.set((left - read) as u64);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_what_is_allowed_and_then_an_error() {
        let allowance = Allowance::default();
        let mut reader = Bounded::new(&b"0123456789"[..], allowance.clone());
        let mut into = [0; 4];
        assert!(reader.read(&mut []).is_ok() && !allowance.is_exceeded());
        allowance.set(6);
        assert_eq!((reader.read(&mut into).unwrap(), reader.read(&mut into).unwrap()), (4, 2));
        assert!(!allowance.is_exceeded());
        assert!(reader.read(&mut into).is_err() && allowance.is_exceeded());
        allowance.set(100);
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"6789", "the end is not an error");
    }
}
