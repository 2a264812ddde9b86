//! Mutants: builds that break one promise on purpose, which the tests have to notice.
//!
//! Owns the list of them, and what a mutant has to make fail. A mutant that survives is a test that
//! is missing; one that does not compile has shown nothing, and is a failure of its own.

use std::time::Instant;

use super::Plan;
use super::process::{Step, Tally};

/// A mutant, and the tests that have to notice it.
struct Mutant {
    package: &'static str,
    /// Of that package.
    feature: &'static str,
    /// What cargo and the tests are told beyond it, so that only those run that may notice.
    tests: &'static [&'static str],
}

const MUTANTS: &[Mutant] = &[
    Mutant { package: "millstream-log", feature: "mutant-no-sync", tests: &["--lib"] },
    Mutant { package: "millstream-log", feature: "mutant-no-checksum", tests: &["--lib"] },
    Mutant { package: "millstream-log", feature: "mutant-early-ack", tests: &["--lib"] },
    Mutant {
        package: "millstream-streams",
        feature: "mutant-iterator-seal",
        tests: &["--lib", "token"],
    },
    Mutant {
        package: "millstream-firehose",
        feature: "mutant-trim-early",
        tests: &["--lib", "delivery::tests"],
    },
    Mutant {
        package: "millstream-firehose",
        feature: "mutant-no-pledge",
        tests: &["--lib", "delivery::tests"],
    },
    Mutant {
        package: "millstream-firehose",
        feature: "mutant-object-names",
        tests: &["--lib", "delivery::tests"],
    },
    Mutant {
        package: "millstream-firehose",
        feature: "mutant-no-error-output",
        tests: &["--lib", "delivery::tests"],
    },
];

/// Builds each mutant and runs its tests; a mutant counts as passed once a test has failed.
#[allow(clippy::disallowed_methods)] // A task, not the product.
pub(crate) fn run(plan: &Plan) -> Tally {
    let mut tally = Tally::default();
    for mutant in MUTANTS {
        let started = Instant::now();
        let name = format!("{} {}", mutant.package, mutant.feature);
        let outcome = hunt(plan, mutant);
        tally += Tally::of(&outcome);
        let told = match &outcome {
            Ok(Tally { passed, failed, .. }) => {
                format!("noticed by {failed} of {} tests", passed + failed)
            }
            Err(reason) => format!("SURVIVED: {reason}"),
        };
        println!("  {name:<44} {told} in {:.0} s", started.elapsed().as_secs_f64());
    }
    tally
}

/// What the tests of a mutant came to; an error where it lives.
fn hunt(plan: &Plan, mutant: &Mutant) -> Result<Tally, String> {
    let Mutant { package, feature, tests } = mutant;
    let tally = Step::new(feature, "cargo")
        .in_folder(&plan.root)
        .arguments(&["test", "--quiet", "--package", package, "--features", feature])
        .arguments(tests)
        .minutes(15)
        .unseen()
        .observe()?;
    match tally {
        Tally { passed: 0, failed: 0, .. } => Err("no test ran: does it compile?".to_owned()),
        Tally { failed: 0, passed, .. } => Err(format!("{passed} tests pass")),
        noticed => Ok(noticed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mutant_of_a_manifest_is_hunted() {
        let crates = crate::tidy::workspace_root().join("crates");
        for package in ["millstream-log", "millstream-streams", "millstream-firehose"] {
            let manifest = crate::tidy::read(&crates.join(package).join("Cargo.toml")).unwrap();
            let named = manifest.lines().filter_map(|line| line.split_once(" = [")).map(|it| it.0);
            let mut named: Vec<&str> = named.filter(|name| name.starts_with("mutant-")).collect();
            let own = MUTANTS.iter().filter(|mutant| mutant.package == package);
            let mut hunted: Vec<&str> = own.map(|mutant| mutant.feature).collect();
            named.sort_unstable();
            hunted.sort_unstable();
            assert_eq!(named, hunted, "{package}");
        }
    }
}
