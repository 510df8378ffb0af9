//! Suites: tests that share one cluster, in order.

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use local::{
    cloud::Settings,
    network::{Kind, enter_sandbox},
};

use super::Stage;

/// A test and its name.
pub type Test = (&'static str, fn(&Stage) -> Result<(), String>);

/// One cluster and its tests. Each test leaves it at rest for the next one.
pub struct Suite {
    /// For people, and the directory of its logs.
    pub run: &'static str,
    /// How its nodes are connected.
    pub network: Kind,
    /// What of the stack differs from the other suites.
    pub parameters: &'static [(&'static str, &'static str)],
    /// In this order.
    pub tests: &'static [Test],
    /// Whether it takes so long that it is played only when ignored tests are asked for.
    pub long: bool,
}

/// Runs the suites that have a test which is asked for. Those whose nodes need namespaces are reported as ignored where
/// none can be made.
pub fn main(suites: &'static [Suite]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The tests of a suite share one cluster.
    arguments.test_threads = Some(1);
    let listed = |ignored: bool| {
        let all = suites.iter().flat_map(|suite| trials(suite, None));
        libtest_mimic::run(&arguments, all.map(|trial| trial.with_ignored_flag(ignored)).collect())
            .exit_code()
    };
    if arguments.list {
        return listed(false);
    }
    if suites.iter().any(|suite| suite.network == Kind::Namespaces)
        && let Err(reason) = enter_sandbox()
    {
        eprintln!("ignored: {reason}");
        return listed(true);
    }
    let (all, only_long) = (arguments.include_ignored, arguments.ignored);
    let is_asked = |suite: &&Suite| all || suite.long == only_long;
    // No test of a suite that is asked for is itself ignored; those of the others are counted as such.
    (arguments.ignored, arguments.include_ignored) = (false, false);
    let rest = suites.iter().filter(|suite| !is_asked(suite)).flat_map(|suite| trials(suite, None));
    let rest: Vec<Trial> = rest.map(|trial| trial.with_ignored_flag(true)).collect();
    if !rest.is_empty() {
        let _nothing_failed = libtest_mimic::run(&arguments, rest);
    }
    for suite in suites.iter().filter(is_asked) {
        let wanted = |(name, _): &Test| match &arguments.filter {
            Some(filter) if arguments.exact => name == filter,
            Some(filter) => name.contains(filter.as_str()),
            None => true,
        };
        if suite.tests.iter().any(wanted) && !play(suite, &arguments) {
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

fn play(suite: &'static Suite, arguments: &Arguments) -> bool {
    let settings = Settings { network: suite.network, ..Settings::default() };
    let stage = match Stage::set(suite.run, &settings, suite.parameters) {
        Ok(stage) => Box::leak(Box::new(stage)),
        Err(error) => {
            eprintln!("the stage for the tests on a real cluster ({}) cannot be set: {error}", suite.run);
            return false;
        }
    };
    let conclusion = libtest_mimic::run(arguments, trials(suite, Some(stage)));
    stage.strike(conclusion.has_failed());
    !conclusion.has_failed()
}

fn trials(suite: &'static Suite, stage: Option<&'static Stage>) -> Vec<Trial> {
    let trial = |(name, test): &'static Test| {
        Trial::test(*name, move || {
            let stage = stage.ok_or("listed only")?;
            test(stage).map_err(|error| {
                stage.explain();
                error.into()
            })
        })
    };
    suite.tests.iter().map(trial).collect()
}
