//! `kinglet bench`: how fast a model runs here.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, value_parser};
use comfy_table::Table;
use kinglet::SessionMemory;
use kinglet_kernels::arch::sets;
use serde::Serialize;

use super::bench_device::{DeviceSession, Queue};
use super::{Failure, document};
use crate::bench::{Contender, LayerTime, Peak, gmacs, layers, measure, peak};
use crate::device::{DeviceChoice, Storage};
use crate::digits::grouped;
use crate::inspect::{Report, Row};
use crate::kernel_set;
use crate::model_file::ModelFile;
use crate::random::{Purpose, for_purpose, uniform};
use crate::table;

/// Measure how fast a model runs
///
/// Times are medians of many runs after a warm-up, with the tenths below and above. Kernel sets take turns in
/// short rounds; only numbers of one run of this command compare. The peak is what a loop of
/// multiply-accumulates does on registers alone, on one core, with the best kernel set of this machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kinglet bench model.kgl
  kinglet bench model.kgl --layers                      where the time goes
  kinglet bench model.kgl --kernels all                 every kernel set of this machine
  kinglet bench model.kgl --threads 4 --batch 16        four sessions over one model, 16 samples a run")]
pub(super) struct Arguments {
    /// The model file (.kgl)
    model: PathBuf,
    /// Show every layer
    #[arg(long)]
    layers: bool,
    /// Kernel set: auto, all, or a name from `kinglet devices`
    #[arg(long, default_value = "auto", value_name = "SET")]
    kernels: String,
    /// Sessions over the one model, each on its own thread
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = value_parser!(u16).range(1..=256))]
    threads: u16,
    /// Samples of one run
    #[arg(long, default_value_t = 1, value_name = "B", value_parser = value_parser!(u32).range(1..=65536))]
    batch: u32,
    /// Seconds to measure each kernel set
    #[arg(long, default_value = "2", value_name = "SECONDS", value_parser = seconds)]
    time: Duration,
    /// Also measure this OpenCL device: gpu, or a part of a name from `kinglet devices`
    #[arg(
        long,
        default_value = "cpu",
        hide_default_value = true,
        value_name = "DEVICE"
    )]
    device: DeviceChoice,
    /// What weights and activations are stored in on the device
    #[arg(long, value_enum, default_value_t)]
    storage: Storage,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A time to measure for.
fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: Option<f64> = text.parse().ok();
    let seconds = seconds.filter(|s| (0.01..=3600.0).contains(s));
    seconds
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "a number of seconds from 0.01 to 3600 is right".to_owned())
}

/// Most memory that the sessions may take: more is rather a slip of the keyboard.
const MAX_BYTES: usize = 4 << 30;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    model: &'a str,
    id: String,
    macs: u64,
    batch: usize,
    threads: usize,
    peak: Peak,
    sets: Vec<SetReport>,
}

/// One kernel set's numbers.
#[derive(Debug, Serialize)]
struct SetReport {
    #[serde(flatten)]
    contender: Contender,
    gmacs: f64,
    share_of_peak: f64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    layers: Vec<LayerReport>,
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<Queue>,
}

/// One layer's numbers.
#[derive(Debug, Serialize)]
struct LayerReport {
    #[serde(flatten)]
    row: Row,
    #[serde(flatten)]
    time: LayerTime,
    gmacs: f64,
    share_of_peak: f64,
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let file = ModelFile::read(&arguments.model)?;
    let model = file.model();
    let kernels: Vec<_> = match arguments.kernels.as_str() {
        "all" => sets().iter().filter_map(|set| set.kernels()).collect(),
        name => vec![kernel_set::select(name)?],
    };
    let (threads, batch) = (usize::from(arguments.threads), arguments.batch as usize);
    let bytes = model.sizes().arena_for_batch(batch);
    let bytes = bytes.saturating_mul(threads).saturating_mul(kernels.len());
    if bytes > MAX_BYTES {
        return Err(format!(
            "sessions for a batch of {batch} on {threads} threads take {} bytes; at most {} is right",
            grouped(bytes as u64),
            grouped(MAX_BYTES as u64)
        )
        .into());
    }
    let mut random = for_purpose(1, Purpose::Initialize, 0, 0);
    let len = batch * model.input().len();
    let input: Vec<f32> = (0..len).map(|_| 2.0 * uniform(&mut random) - 1.0).collect();

    let peak = peak(PEAK_TIME);
    let table = Report::of_model(&model, file.bytes().len());
    let mut device = DeviceSession::open((&arguments.device, arguments.storage), &model, &input)?;
    let other = device.as_mut().map(DeviceSession::contender);
    let sizes = (threads, batch);
    let found = measure(&model, &kernels, sizes, &input, arguments.time, other)?;
    let mut reports = Vec::new();
    for (index, contender) in found.into_iter().enumerate() {
        let set = kernels.get(index);
        // The device is one session, whatever the threads.
        let sessions = if set.is_some() { threads } else { 1 };
        let macs = table.macs * (batch * sessions) as u64;
        let gmacs = gmacs(macs, contender.run.median_us);
        let times = match (arguments.layers, set, &mut device) {
            (true, Some(set), _) => {
                let mut memory = SessionMemory::new(&model, set, batch);
                let mut session = memory.session(&model, *set)?;
                layers(&mut session, &input, arguments.time)
            }
            (true, None, Some(device)) => device.layers(arguments.time)?,
            _ => Vec::new(),
        };
        reports.push(SetReport {
            contender,
            gmacs,
            share_of_peak: gmacs / (peak.gmacs * sessions as f64),
            layers: layer_reports(&table, times, peak, batch),
            queue: match (set, &mut device) {
                (None, Some(device)) => Some(device.queue()?),
                _ => None,
            },
        });
    }
    if arguments.json {
        let report = Document {
            model: model.name(),
            id: model.id().to_string(),
            macs: table.macs,
            batch,
            threads,
            peak,
            sets: reports,
        };
        document::print("bench", &report)?;
    } else {
        print(&table, arguments, peak, &reports);
    }
    Ok(())
}

/// How long the peak is measured.
const PEAK_TIME: Duration = Duration::from_millis(100);

fn layer_reports(
    table: &Report,
    times: Vec<LayerTime>,
    peak: Peak,
    batch: usize,
) -> Vec<LayerReport> {
    let rows = table.layers.iter().cloned().zip(times);
    rows.map(|(row, time)| {
        let gmacs = gmacs(row.macs * batch as u64, time.stats.median_us);
        LayerReport {
            row,
            time,
            gmacs,
            share_of_peak: gmacs / peak.gmacs,
        }
    })
    .collect()
}

fn print(table: &Report, arguments: &Arguments, peak: Peak, reports: &[SetReport]) {
    println!(
        "{}: {} MACs a sample, batch {}, {} thread{}",
        table.name,
        grouped(table.macs),
        arguments.batch,
        arguments.threads,
        if arguments.threads == 1 { "" } else { "s" }
    );
    println!(
        "this machine's peak: {:.1} GMAC/s on one core, with {}",
        peak.gmacs, peak.kernels
    );
    let mut sets = table::new([
        "kernels",
        "median us",
        "p10",
        "p90",
        "runs",
        "samples/s",
        "GMAC/s",
        "of peak",
    ]);
    for report in reports {
        let Contender {
            kernels,
            run,
            samples_per_second,
        } = &report.contender;
        sets.add_row([
            kernels.clone(),
            format!("{:.1}", run.median_us),
            format!("{:.1}", run.p10_us),
            format!("{:.1}", run.p90_us),
            grouped(run.count as u64),
            grouped(*samples_per_second as u64),
            format!("{:.1}", report.gmacs),
            percent(report.share_of_peak),
        ]);
    }
    print_table(sets, 1);
    for report in reports {
        if let Some(queue) = report.queue {
            println!(
                "{}: {} launches a run, {:.1} us to enqueue each; nothing is waited for in between",
                report.contender.kernels, queue.launches, queue.enqueue_us
            );
        }
    }
    for report in reports.iter().filter(|report| !report.layers.is_empty()) {
        let how = match report.queue {
            None => "on one thread",
            Some(_) => "waiting for each, which a run does not",
        };
        println!("\nlayers with {}, {how}", report.contender.kernels);
        let mut layers = table::new([
            "layer",
            "output",
            "MACs",
            "median us",
            "of time",
            "GMAC/s",
            "of peak",
        ]);
        for layer in &report.layers {
            let computes = layer.row.macs > 0;
            let if_any = |text: String| if computes { text } else { String::new() };
            layers.add_row([
                layer.row.layer.clone(),
                format!("{:?}", layer.row.output),
                if_any(grouped(layer.row.macs)),
                format!("{:.2}", layer.time.stats.median_us),
                percent(layer.time.share),
                if_any(format!("{:.1}", layer.gmacs)),
                if_any(percent(layer.share_of_peak)),
            ]);
        }
        print_table(layers, 2);
        if report.layers.iter().any(|layer| layer.share_of_peak > 1.0) {
            println!(
                "(more than the peak: MACs in the padding are counted, as usual, and not computed)"
            );
        }
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// Prints a table whose first columns are text and all others numbers.
fn print_table(mut table: Table, text_columns: usize) {
    table::align_numbers(&mut table, text_columns);
    println!("{}", table.trim_fmt());
}
