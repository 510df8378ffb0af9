//! The sizes of a backup: those that the Rules admit are those that Fargate has, and what a JVM is given fits into them.

use end_to_end::repository::template;
use serde_json::{Value, json};

use crate::{
    evaluate::{Parameters, Stack},
    templates,
};

/// `AmazonECS/latest/developerguide/task-cpu-memory-error.html`: CPU units, and the least, the most and the steps of memory in GB.
const FARGATE: [(u64, u64, u64, u64); 5] =
    [(512, 1, 4, 1), (1024, 2, 8, 1), (2048, 4, 16, 1), (4096, 8, 30, 1), (8192, 16, 60, 4)];

fn values(parameter: &str) -> Vec<Value> {
    template("template.yml")["Parameters"][parameter]["AllowedValues"].as_array().unwrap().clone()
}

/// `512m` or `2g`, in MiB.
fn mib(size: &str) -> u64 {
    let (number, unit) = size.split_at(size.len() - 1);
    number.parse::<u64>().unwrap() * if unit == "g" { 1024 } else { 1 }
}

fn is_admitted(changed: &[(&str, &Value)]) -> bool {
    let given = [("AcceptLicense", json!("yes"))];
    let mut parameters: Parameters = given.map(|(name, value)| (name.to_owned(), value)).into();
    parameters.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).clone())));
    Stack::root(&templates(), &parameters).is_allowed().unwrap()
}

#[test]
fn a_size_that_fargate_does_not_have_is_refused_and_every_other_one_is_not() {
    // Small enough for every memory.
    let (heap, cache) = (json!("512m"), json!("256m"));
    let mut admitted = 0;
    for cpu in values("BackupCpu") {
        let (_, least, most, step) =
            *FARGATE.iter().find(|(units, ..)| cpu == *units).unwrap_or_else(|| panic!("no {cpu}"));
        for memory in values("BackupMemoryMiB") {
            let gb = memory.as_u64().unwrap() / 1024;
            let exists = (least..=most).contains(&gb) && (gb - least) % step == 0;
            let sizes = [
                ("BackupCpu", &cpu),
                ("BackupMemoryMiB", &memory),
                ("BackupHeap", &heap),
                ("BackupPageCache", &cache),
            ];
            assert_eq!(is_admitted(&sizes), exists, "{cpu} CPU units with {memory} MiB");
            admitted += u32::from(exists);
        }
    }
    assert!(admitted >= 10, "{admitted}");
}

/// The JVM needs more than its heap and its page cache, and the program beside it compresses.
#[test]
fn heap_and_page_cache_leave_a_quarter_of_the_memory() {
    // A CPU for each memory that Fargate has.
    let table = [(512, 2048), (1024, 4096), (2048, 8192), (4096, 16384), (8192, 32768)];
    assert_eq!(table.map(|(_, memory)| json!(memory)).to_vec(), values("BackupMemoryMiB"));
    for (cpu, memory) in table {
        let mut most = 0;
        for heap in values("BackupHeap") {
            for cache in values("BackupPageCache") {
                let [a, b] = [&heap, &cache].map(|size| mib(size.as_str().unwrap()));
                let (cpu, given) = (json!(cpu), json!(memory));
                let sizes = [
                    ("BackupCpu", &cpu),
                    ("BackupMemoryMiB", &given),
                    ("BackupHeap", &heap),
                    ("BackupPageCache", &cache),
                ];
                let fits = a * 4 <= memory && b * 2 <= memory;
                assert_eq!(is_admitted(&sizes), fits, "{heap} and {cache} in {memory} MiB");
                most = most.max(if fits { a + b } else { 0 });
            }
        }
        assert_eq!(most * 4, memory * 3, "no more and no less than three quarters of {memory} MiB");
    }
}
