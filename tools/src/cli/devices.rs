//! `kinglet devices`: what this machine can compute with.

use clap::Args;
use kinglet_kernels::arch::{detect, sets};

use super::Failure;

/// List the kernel sets, which of them this machine can run, and which `auto` takes
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet devices
  kinglet devices --json")]
pub(super) struct Arguments {
    /// Print JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let chosen = detect().name();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if arguments.json {
        let sets = sets().iter().map(|set| {
            serde_json::json!({
                "name": set.name(),
                "runs": set.kernels().is_some(),
                "chosen": set.name() == chosen,
            })
        });
        let report = serde_json::json!({
            "architecture": std::env::consts::ARCH,
            "threads": threads,
            "sets": sets.collect::<Vec<_>>(),
        });
        println!("{report:#}");
        return Ok(());
    }
    println!(
        "{} CPU, {threads} threads; kernel sets, fastest first:",
        std::env::consts::ARCH
    );
    for set in sets() {
        let note = match (set.kernels().is_some(), set.name() == chosen) {
            (true, true) => "taken by --kernels auto",
            (true, false) => "available",
            (false, _) => "not on this CPU",
        };
        println!("  {:<10} {note}", set.name());
    }
    Ok(())
}
