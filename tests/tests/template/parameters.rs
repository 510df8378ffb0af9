//! Parameters: described, documented, bounded.

use super::{template, text};

#[test]
fn every_parameter_is_described_and_documented() {
    let (main, docs) = (template("template.yml"), text("docs/parameters.md"));
    for (name, parameter) in main["Parameters"].as_object().unwrap() {
        assert!(parameter["Description"].as_str().is_some_and(|said| said.len() > 10), "{name}");
        assert!(docs.contains(&format!("`{name}`")), "{name} is not in docs/parameters.md");
    }
}

/// No time is absurd, and no product of two numbers overflows.
#[test]
fn every_number_has_both_bounds_and_its_default_is_between_them() {
    let main = template("template.yml");
    let mut numbers = 0;
    for (name, parameter) in main["Parameters"].as_object().unwrap() {
        if parameter["Type"] != "Number" {
            continue;
        }
        numbers += 1;
        let number = |key: &str| parameter[key].as_i64().unwrap_or_else(|| panic!("{name} has no {key}"));
        if let Some(allowed) = parameter["AllowedValues"].as_array() {
            assert!(allowed.contains(&parameter["Default"]), "{name}");
            continue;
        }
        let (least, most) = (number("MinValue"), number("MaxValue"));
        assert!(least < most && (least..=most).contains(&number("Default")), "{name}");
        let day = if name.ends_with("Ms") { 86_400_000 } else { 86_400 };
        if name.ends_with("Ms") || name.ends_with("Seconds") {
            assert!(most <= day, "{name}: a day at most, as the functions and the node program have it");
        }
    }
    assert!(numbers >= 14, "{numbers}");
    for name in ["HeapSize", "PageCacheSize"] {
        let pattern = main["Parameters"][name]["AllowedPattern"].as_str().unwrap();
        assert_eq!(pattern, r"^[1-9]\d{0,4}[mg]$", "{name}: digits are bounded too");
    }
}

/// What the local cloud leaves out is a short list, and each entry has a reason.
#[test]
fn what_the_emulator_lacks_is_listed_with_a_reason() {
    let list = text("local/not-in-the-emulator.txt");
    for line in list.lines().filter(|line| !line.starts_with('#')) {
        let (kind, reason) = line.split_once('#').unwrap_or_else(|| panic!("{line}: no reason"));
        assert!(kind.trim().starts_with("AWS::") && reason.trim().len() > 10, "{line}");
    }
}
