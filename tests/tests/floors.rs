//! Who may import whom: the floors of the house.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::BTreeMap;

/// Crate, floor, and what it may import of the crates on its own floor.
const FLOORS: &[(&str, u8, &[&str])] = &[
    ("mpc-wire", 0, &[]),
    ("mpc-session", 1, &[]),
    ("mpc-pending", 1, &[]),
    ("mpc-engine", 1, &[]),
    ("migrations", 2, &[]),
    ("gateway", 2, &[]),
    ("coordinator", 2, &["migrations"]),
    ("party-runtime", 2, &["migrations"]),
    ("mpc", 3, &[]),
    ("mpc-tests", 4, &[]),
    ("mpc-simulation", 2, &[]),
];

/// What the simulation may import of the house: it drives pure machines and nothing else, in a time
/// of its own.
const SIMULATED: &[&str] = &["mpc-wire", "mpc-session", "mpc-pending"];

/// What the pure floors must not know: runtimes, actors, databases, clocks.
const IMPURE: &[&str] = &[
    "actix",
    "actix-rt",
    "actix-web",
    "awc",
    "bb8-redis",
    "chrono",
    "redis",
    "sea-orm",
    "sqlx",
    "time",
    "tokio",
];

/// Problems in a workspace given as (crate, its dependencies outside of tests).
fn problems(crates: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let floor = |name: &str| FLOORS.iter().find(|(other, ..)| *other == name);
    let mut problems = Vec::new();
    for (name, dependencies) in crates {
        let is_simulation = name == "mpc-simulation";
        let Some((_, own_floor, same_floor)) = floor(name) else {
            problems.push(format!("{name} stands on no floor: give it one"));
            continue;
        };
        for dependency in dependencies {
            if let Some((_, other_floor, _)) = floor(dependency) {
                let allowed = if is_simulation {
                    SIMULATED.contains(&dependency.as_str())
                } else {
                    other_floor < own_floor
                        || (other_floor == own_floor && same_floor.contains(&dependency.as_str()))
                };
                if !allowed {
                    problems.push(format!("{name} must not import {dependency}"));
                }
            } else if (*own_floor <= 1 || is_simulation) && IMPURE.contains(&dependency.as_str()) {
                problems.push(format!("{name} is pure and must not import {dependency}"));
            }
        }
    }
    problems
}

#[test]
fn every_crate_keeps_to_its_floor() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    let crates: BTreeMap<_, _> = metadata
        .workspace_packages()
        .into_iter()
        .map(|package| {
            let imports = package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind == DependencyKind::Normal)
                .map(|dependency| dependency.name.clone());
            (package.name.to_string(), imports.collect())
        })
        .collect();
    assert_eq!(crates.len(), FLOORS.len(), "{crates:?}");
    assert_eq!(problems(&crates), Vec::<String>::new());
}

#[test]
fn a_crate_that_leaves_its_floor_is_named() {
    let bad = [
        ("gateway", "coordinator", "gateway must not import coordinator"),
        ("mpc-wire", "mpc-engine", "mpc-wire must not import mpc-engine"),
        ("mpc-session", "mpc-pending", "mpc-session must not import mpc-pending"),
        ("mpc-pending", "tokio", "mpc-pending is pure and must not import tokio"),
        ("mpc-simulation", "mpc-engine", "mpc-simulation must not import mpc-engine"),
        ("mpc-simulation", "tokio", "mpc-simulation is pure and must not import tokio"),
        ("attic", "mpc-wire", "attic stands on no floor: give it one"),
    ];
    for (name, dependency, problem) in bad {
        let crates = BTreeMap::from([(name.to_owned(), vec![dependency.to_owned()])]);
        assert_eq!(problems(&crates), vec![problem.to_owned()]);
    }
    let good = BTreeMap::from([("coordinator".to_owned(), vec!["migrations".to_owned()])]);
    assert!(problems(&good).is_empty());
}
