//! Runs the simulation: `make sim`.

use clap::Parser;
use mpc_simulation::profile::Profile;
use mpc_simulation::rows::{FIRST_WORDS, ROWS, Row};
use mpc_simulation::run::{Found, Kind, Plan, Tally, run, run_row};
use mpc_simulation::world::{Scene, World};
use std::process::ExitCode;
use std::time::Instant;

/// Runs seeded worlds and checks what must hold in each: first in the weather of every profile, then
/// with each fault of the list that is simulated.
#[derive(Debug, Parser)]
struct Cli {
    /// How many seeds.
    #[arg(long, default_value_t = 1000)]
    seeds: u64,
    /// This seed alone.
    #[arg(long)]
    seed: Option<u64>,
    /// Sessions a seed.
    #[arg(long, default_value_t = 200)]
    sessions: u32,
    /// One profile instead of all in turn, and no faults of the list.
    #[arg(long)]
    profile: Option<Profile>,
    /// The fault of this row alone; 0 stands for the first words of each kind.
    #[arg(long, conflicts_with = "profile")]
    row: Option<u16>,
    /// Worlds at a time.
    #[arg(long, default_value_t = 2)]
    threads: usize,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match run_all(&cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(found) => {
            show(&found, cli.sessions);
            ExitCode::FAILURE
        }
    }
}

fn run_all(cli: &Cli) -> Result<(), Box<Found>> {
    let started = Instant::now();
    println!(
        "{:<24} {:>6} {:>7} {:>8} {:>9} {:>9} {:>6} {:>6} {:>7} {:>9} {:>7} {:>10} {:>6}",
        "worlds of",
        "seeds",
        "faults",
        "sessions",
        "events",
        "completed",
        "again",
        "failed",
        "expired",
        "cancelled",
        "unheard",
        "slowest ms",
        "cpu s"
    );
    let mut total = Tally::default();
    if cli.row.is_none() {
        let plan = Plan {
            first: cli.seed.unwrap_or(0),
            seeds: if cli.seed.is_some() { 1 } else { cli.seeds },
            sessions: cli.sessions,
            profile: cli.profile,
            threads: cli.threads,
        };
        for (profile, tally) in run(&plan)? {
            print_line(profile.name(), &tally);
            total.add(&tally);
        }
    }
    let all = ROWS.into_iter().chain([FIRST_WORDS]);
    let is_wanted = |row: &Row| cli.row.map_or(cli.profile.is_none(), |only| only == row.number);
    for row in all.filter(is_wanted).filter(|_| cli.row.is_some() || cli.seed.is_none()) {
        let seeds = if cli.seed.is_some() { 1 } else { row.full };
        let tally = run_row(row, cli.seed.unwrap_or(0), seeds, cli.threads)?;
        print_line(&format!("row {}: {}", row.number, row.name), &tally);
        total.add(&tally);
    }
    print_line("all", &total);
    println!("{:.1} s on {} threads", started.elapsed().as_secs_f64(), cli.threads);
    Ok(())
}

fn print_line(name: &str, tally: &Tally) {
    let Tally { seeds, faults, sessions, events, completed, again, failed, .. } = tally;
    let Tally { expired, cancelled, unheard, slowest, micros, .. } = tally;
    let seconds = *micros as f64 / 1e6;
    println!(
        "{name:<24} {seeds:>6} {faults:>7} {sessions:>8} {events:>9} {completed:>9} {again:>6} \
         {failed:>6} {expired:>7} {cancelled:>9} {unheard:>7} {slowest:>10} {seconds:>6.1}"
    );
}

/// Shows a breach, what came before it, and how it is come to again.
fn show(found: &Found, sessions: u32) {
    let Found { seed, kind, breach } = found;
    if let Some(session) = breach.session {
        let mut world = match kind {
            Kind::Weather(profile) => World::new(Scene::new(*profile, *seed, sessions)),
            Kind::Fault(row) => row.world(*seed),
        };
        world.watch(session);
        // That the result is not what a row demands is no breach of the world's own.
        if let Err(again) = world.run()
            && again != *breach
        {
            println!("it is another one when run again: something is not decided by the seed");
        }
        world.seen().for_each(|line| println!("{line}"));
    }
    println!("seed {seed}, {}: {breach}", kind.name());
    match kind {
        Kind::Weather(profile) => {
            println!("to see it again: make sim SEED={seed} PROFILE={profile} SESSIONS={sessions}");
        }
        Kind::Fault(row) => println!("to see it again: make sim SEED={seed} ROW={}", row.number),
    }
}
