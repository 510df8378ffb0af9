//! `docs/figures.md`: what README quotes of it is in it, and what it counts is what the templates have.

use super::{all_templates, resources, text};

/// The number behind a row's name in the table of costs.
fn row(figures: &str, name: &str, column: usize) -> Option<String> {
    let line = figures.lines().find(|line| line.starts_with(name))?;
    line[name.len()..].split_whitespace().nth(column).map(str::to_owned)
}

/// The last sum below `heading`, before the next one.
fn sum(figures: &str, heading: &str) -> Option<String> {
    let part = figures.split(heading).nth(1)?.split("\n## ").next()?;
    let line = part.lines().rfind(|line| line.starts_with("all  "))?;
    line.split_whitespace().last().map(str::to_owned)
}

#[test]
fn the_readme_quotes_the_measured_costs() {
    let (readme, figures) = (text("README.md"), text("docs/figures.md"));
    let month = sum(&figures, "## At rest").expect("a sum");
    assert!(readme.contains(&format!("costs {month} US dollars")), "README.md does not say {month}");
    let metrics = row(&figures, "CloudWatch: metrics", 1).expect("a price");
    assert!(readme.contains(&format!("{metrics} of them for")), "README.md does not say {metrics}");
    let alarms = row(&figures, "CloudWatch: alarms", 0).expect("a count");
    let there = resources(&all_templates(), "AWS::CloudWatch::Alarm").len();
    assert_eq!(alarms, format!("{there}.000"), "measure again: the templates have other alarms");
}

#[test]
fn numbers_are_read_off_a_table() {
    let figures = "## At rest\n\nall      25         300\n\nCloudWatch: metrics    13.000    3.90\nall     6.29\n\n## More\n\nall  1\n";
    assert_eq!(sum(figures, "## At rest").as_deref(), Some("6.29"));
    assert_eq!(row(figures, "CloudWatch: metrics", 1).as_deref(), Some("3.90"));
    assert_eq!(row(figures, "Nothing", 0), None);
}
