//! Runs the simulation: `make sim`.

use clap::Parser;
use mpc_simulation::profile::Profile;
use mpc_simulation::run::{Found, Plan, Tally, run};
use mpc_simulation::world::{Scene, World};
use std::process::ExitCode;
use std::time::Instant;

/// Runs seeded worlds and checks what must hold in each.
#[derive(Debug, Parser)]
struct Cli {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// The first seed; alone with it, if no number of seeds is given.
    #[arg(long)]
    seed: Option<u64>,
    /// Sessions a seed.
    #[arg(long, default_value_t = 200)]
    sessions: u32,
    /// One profile instead of all in turn.
    #[arg(long)]
    profile: Option<Profile>,
    /// Worlds at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let plan = Plan {
        first: cli.seed.unwrap_or(0),
        seeds: if cli.seed.is_some() { 1 } else { cli.seeds },
        sessions: cli.sessions,
        profile: cli.profile,
        threads: cli.threads,
    };
    let started = Instant::now();
    match run(&plan) {
        Ok(tallies) => {
            println!(
                "profile       seeds sessions    events completed  again failed expired cancelled unheard slowest ms cpu s"
            );
            let mut total = Tally::default();
            for (profile, tally) in &tallies {
                total.add(tally);
                print_row(profile.name(), tally);
            }
            print_row("all", &total);
            println!("{:.1} s", started.elapsed().as_secs_f64());
            ExitCode::SUCCESS
        }
        Err(Found { seed, profile, breach }) => {
            if let Some(session) = breach.session {
                let mut world = World::new(Scene::new(profile, seed, plan.sessions));
                world.watch(session);
                let again = world.run();
                println!("again: {}", again == Err(breach.clone()));
            }
            println!("seed {seed}, profile {profile}: {breach}");
            println!(
                "to see it again: make sim SEED={seed} PROFILE={profile} SESSIONS={}",
                plan.sessions
            );
            ExitCode::FAILURE
        }
    }
}

fn print_row(name: &str, tally: &Tally) {
    println!(
        "{name:<12} {:>6} {:>8} {:>9} {:>9} {:>6} {:>6} {:>7} {:>9} {:>7} {:>10} {:>5.1}",
        tally.seeds,
        tally.sessions,
        tally.events,
        tally.completed,
        tally.again,
        tally.failed,
        tally.expired,
        tally.cancelled,
        tally.unheard,
        tally.slowest,
        tally.micros as f64 / 1e6
    );
}
