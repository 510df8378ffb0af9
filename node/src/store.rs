//! What is in a store, read from its files without a JVM: the store's id, its last transaction, and how many nodes and relationships it
//! has. The layouts are those of the standard format of 3.4 and 3.5; of any other one nothing is claimed.
//!
//! ```text
//! neostore               records of 9 bytes: in use (1), big-endian i64
//!                        0 creation time, 1 random number, 3 last transaction, 4 format as text
//! neostore.counts.db.a|b records of 32 bytes: key 16, value 16
//!                        0 the magic, 1 its transaction and minor version, then counts by key, then a zero key with their number
//! ```

use std::{
    fs::File,
    io::{self, BufReader, Read},
    path::Path,
};

use backups::Counts;
use serde::{Deserialize, Serialize};

/// The standard format of 3.4 and 3.5.
const STANDARD: &str = "v0.A.9";
const RECORD: usize = 9;
const IN_USE: u8 = 1;
/// Records 0 to 4.
const NEOSTORE: usize = 5 * RECORD;
const MAGIC: &[u8; 16] = b"NeoCountStore\0\x02V";
/// Two million counts: a schema of a thousand labels and types has fewer.
const LONGEST: u64 = 64 << 20;
const NODES: [u8; 16] = key([1, 0, 0, 0], [0; 4], [0; 4], ALL);
const RELATIONSHIPS: [u8; 16] = key([2, 0, 0, 0], ALL, ALL, ALL);
/// Label or type -1: whatever it has.
const ALL: [u8; 4] = [0xff; 4];

/// Facts of exactly these files. What is `None` is not known, and `unknown` says why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    pub store_format: Option<String>,
    /// `<creation time>-<random number>`, the same for all members of a cluster.
    pub store_id: Option<String>,
    pub last_transaction: Option<u64>,
    pub counts: Option<Counts>,
    pub unknown: Option<String>,
}

impl Facts {
    /// Reads them from the database's directory.
    ///
    /// # Errors
    /// When there is no `neostore`, or it cannot be read: then this is not a store.
    pub fn read(database: &Path) -> io::Result<Self> {
        let mut start = Vec::new();
        File::open(database.join("neostore"))?.take(NEOSTORE as u64).read_to_end(&mut start)?;
        let counted = ["neostore.counts.db.a", "neostore.counts.db.b"].into_iter().filter_map(|name| {
            let file = File::open(database.join(name)).ok()?;
            Counted::read(BufReader::new(file.take(LONGEST)))
        });
        Ok(Self::of(&start, counted))
    }

    fn of(start: &[u8], counted: impl IntoIterator<Item = Counted>) -> Self {
        let unknown =
            |store_format, unknown: String| Self { store_format, unknown: Some(unknown), ..Self::default() };
        let Some(store) = Neostore::read(start) else {
            return unknown(None, "its neostore is not of a layout that this program knows".into());
        };
        if store.format != STANDARD {
            let why =
                format!("its store format is {}, and only {STANDARD} is read without a JVM", store.format);
            return unknown(Some(store.format), why);
        }
        let newest = counted.into_iter().max_by_key(|counted| (counted.transaction, counted.minor));
        let (counts, unknown) = match newest {
            None => (None, Some("neither of its two counts stores is whole".to_owned())),
            // Transactions after it may have changed any count.
            Some(counted) if counted.transaction != store.last_transaction => {
                let (of, last) = (counted.transaction, store.last_transaction);
                (
                    None,
                    Some(format!("its counts are of transaction {of}, and its last transaction is {last}")),
                )
            }
            Some(counted) => (Some(counted.counts), None),
        };
        Self {
            store_format: Some(store.format),
            store_id: Some(format!("{}-{}", store.created, store.random)),
            last_transaction: Some(store.last_transaction),
            counts,
            unknown,
        }
    }
}

/// The start of a `neostore`.
struct Neostore {
    created: i64,
    random: i64,
    last_transaction: u64,
    format: String,
}

impl Neostore {
    fn read(bytes: &[u8]) -> Option<Self> {
        let record = |index: usize| {
            let record = bytes.get(index * RECORD..)?.first_chunk::<RECORD>()?;
            (record[0] == IN_USE).then(|| number(&record[1..]))
        };
        Some(Self {
            created: record(0)?,
            random: record(1)?,
            last_transaction: record(3)?.try_into().ok()?,
            format: format(record(4)?)?,
        })
    }
}

/// A format's name is packed into a number from its lowest byte on: how many letters, then the letters.
fn format(packed: i64) -> Option<String> {
    let bytes = packed.to_le_bytes();
    let letters = bytes[1..].get(..usize::from(bytes[0])).filter(|letters| !letters.is_empty())?;
    let is_plain = letters.iter().all(|letter| letter.is_ascii_alphanumeric() || *letter == b'.');
    is_plain.then(|| letters.iter().copied().map(char::from).collect())
}

/// One of the two counts stores, which take turns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    transaction: u64,
    minor: u64,
    counts: Counts,
}

impl Counted {
    /// `None` if it is not whole: the other one is, then.
    fn read(mut file: impl Read) -> Option<Self> {
        let mut next = || {
            let mut record = [0; 32];
            file.read_exact(&mut record).ok()?;
            let (key, value) = record.split_at(16);
            Some((*key.first_chunk::<16>()?, *value.first_chunk::<16>()?))
        };
        let is_header = |key: [u8; 16]| key == [0; 16];
        let (_, magic) = next().filter(|(key, _)| is_header(*key))?;
        let (_, version) = next().filter(|(key, _)| is_header(*key) && magic == *MAGIC)?;
        let positive = |bytes: &[u8]| u64::try_from(number(bytes)).ok();
        let (transaction, minor) = (positive(&version[..8])?, positive(&version[8..])?);
        // A key without a count has none.
        let mut counts = Counts { nodes: 0, relationships: 0 };
        let mut entries = 0_i64;
        loop {
            let (key, value) = next()?;
            let last = number(&value[8..]);
            match key {
                key if is_header(key) => {
                    let expected = if entries == 0 { -1 } else { entries };
                    return (last == expected).then_some(Self { transaction, minor, counts });
                }
                NODES => counts.nodes = last.try_into().ok()?,
                RELATIONSHIPS => counts.relationships = last.try_into().ok()?,
                _ => {}
            }
            entries += 1;
        }
    }
}

fn number(bytes: &[u8]) -> i64 {
    bytes.iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
}

const fn key(kind: [u8; 4], a: [u8; 4], b: [u8; 4], c: [u8; 4]) -> [u8; 16] {
    let mut key = [0; 16];
    let mut index = 0;
    while index < 4 {
        key[index] = kind[index];
        key[index + 4] = a[index];
        key[index + 8] = b[index];
        key[index + 12] = c[index];
        index += 1;
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The record of the format's name as 3.4.6 writes it, byte by byte.
    const FORMAT: [u8; 9] = [1, 0, b'9', b'.', b'A', b'.', b'0', b'v', 6];

    fn neostore(last: i64) -> Vec<u8> {
        let record = |value: i64| [&[1], value.to_be_bytes().as_slice()].concat();
        [record(1_543_180_505_000), record(-42), record(7), record(last), FORMAT.to_vec()].concat()
    }

    fn entry(key: [u8; 16], value: [i64; 2]) -> Vec<u8> {
        [key.as_slice(), &value[0].to_be_bytes(), &value[1].to_be_bytes()].concat()
    }

    fn header(transaction: i64, minor: i64) -> Vec<u8> {
        [[0; 16].as_slice(), MAGIC, &entry([0; 16], [transaction, minor])].concat()
    }

    /// Nodes of a label, of all; relationships of a type, of all.
    fn counts(transaction: i64, minor: i64, nodes: i64) -> Vec<u8> {
        let of_label = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
        let of_type = key([2, 0, 0, 0], ALL, [0, 0, 0, 1], ALL);
        [
            header(transaction, minor),
            entry(of_label, [0, 5]),
            entry(NODES, [0, nodes]),
            entry(of_type, [0, 2]),
            entry(RELATIONSHIPS, [0, 12]),
            entry([3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], [9, 9]),
            entry([0; 16], [0, 5]),
        ]
        .concat()
    }

    fn facts(start: &[u8], stores: &[Vec<u8>]) -> Facts {
        Facts::of(start, stores.iter().filter_map(|bytes| Counted::read(bytes.as_slice())))
    }

    #[test]
    fn everything_is_read_of_a_store_that_was_closed() {
        let facts = facts(&neostore(2376), &[counts(2000, 9, 1), counts(2376, 1, 50_000)]);
        let expected = Facts {
            store_format: Some("v0.A.9".into()),
            store_id: Some("1543180505000--42".into()),
            last_transaction: Some(2376),
            counts: Some(Counts { nodes: 50_000, relationships: 12 }),
            unknown: None,
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn of_two_counts_stores_the_newer_one_counts() {
        for stores in [[counts(7, 2, 1), counts(7, 1, 2)], [counts(7, 1, 2), counts(7, 2, 1)]] {
            assert_eq!(facts(&neostore(7), &stores).counts.map(|counts| counts.nodes), Some(1));
        }
    }

    #[test]
    fn an_empty_store_has_no_counts_and_no_node() {
        let empty = [header(1, 1), entry([0; 16], [0, -1])].concat();
        let facts = facts(&neostore(1), &[empty]);
        assert_eq!((facts.counts, facts.unknown), (Some(Counts { nodes: 0, relationships: 0 }), None));
    }

    /// The first bytes of both files of a blank store, as 3.4.6 has written them.
    #[test]
    fn a_store_of_3_4_6_is_read() {
        let neostore = [
            [1, 0, 0, 0x01, 0xa2, 0x1e, 0xaf, 0x05, 0xb0],
            [1, 0x6b, 0x48, 0xab, 0x06, 0x72, 0xb5, 0x94, 0xcb],
            [1, 0, 0, 0, 0, 0, 0, 0, 0],
            [1, 0, 0, 0, 0, 0, 0, 0, 1],
            [1, 0, 0x39, 0x2e, 0x41, 0x2e, 0x30, 0x76, 0x06],
        ];
        let counts = [
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0NeoCountStore\0\x02V",
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\0",
            b"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        let facts = facts(&neostore.concat(), &[counts.map(|record| &record[..]).concat()]);
        let expected = Facts {
            store_format: Some("v0.A.9".into()),
            store_id: Some("1795811116464-7730616804564112587".into()),
            last_transaction: Some(1),
            counts: Some(Counts { nodes: 0, relationships: 0 }),
            unknown: None,
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn counts_of_another_transaction_are_not_claimed() {
        let facts = facts(&neostore(9), &[counts(7, 1, 5)]);
        assert_eq!((facts.counts, facts.last_transaction), (None, Some(9)));
        assert_eq!(facts.unknown.unwrap(), "its counts are of transaction 7, and its last transaction is 9");
    }

    #[test]
    fn a_counts_store_that_is_not_whole_is_not_read() {
        let whole = counts(7, 1, 5);
        let cut: Vec<Vec<u8>> = (0..whole.len()).step_by(16).map(|length| whole[..length].to_vec()).collect();
        let changed = |at: usize, byte: u8| {
            let mut bytes = whole.clone();
            bytes[at] = byte;
            bytes
        };
        // The magic, a header's key, a negative transaction, a negative count, the number of entries.
        let broken =
            [changed(16, b'X'), changed(33, 1), changed(48, 0x80), changed(120, 0x80), changed(255, 6)];
        for bytes in cut.iter().chain(&broken) {
            assert_eq!(Counted::read(bytes.as_slice()), None, "{bytes:?}");
        }
        let none = facts(&neostore(7), &broken);
        assert_eq!(none.unknown.unwrap(), "neither of its two counts stores is whole");
        assert_eq!(facts(&neostore(7), &[changed(16, b'X'), whole.clone()]).unknown, None);
    }

    #[test]
    fn of_another_format_only_its_name_is_claimed() {
        let mut other = neostore(7);
        other[36..].copy_from_slice(&[1, 0, b'4', b'.', b'H', b'.', b'E', b'v', 6]);
        let read = facts(&other, &[counts(7, 1, 5)]);
        assert_eq!(read.store_format.as_deref(), Some("vE.H.4"));
        assert_eq!((read.store_id, read.last_transaction, read.counts), (None, None, None));
        assert_eq!(
            read.unknown.unwrap(),
            "its store format is vE.H.4, and only v0.A.9 is read without a JVM"
        );
    }

    #[test]
    fn what_is_not_a_neostore_says_so() {
        let (mut unused, mut long, mut negative) = (neostore(7), neostore(7), neostore(-1));
        unused[27] = 0;
        long[44] = 8;
        negative.truncate(45);
        for bytes in [&neostore(7)[..44], &[], &unused, &long, &negative] {
            let read = facts(bytes, &[]);
            assert_eq!(read.store_format, None);
            assert!(read.unknown.unwrap().starts_with("its neostore is not of a layout"), "{bytes:?}");
        }
    }
}
