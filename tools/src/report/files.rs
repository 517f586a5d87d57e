//! The files of a report: the page, which has everything in it, and the figures for papers and slides.

use std::path::{Path, PathBuf};

use super::{Report, ReportError, confusion, curves, html};
use crate::file::{WriteError, create_folder, write_atomic};

/// Where a report has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `report.html`.
    pub page: PathBuf,
    /// The pictures: `curves.svg`, `confusion.svg` where there are classes, and `weights.png` if the network begins with a
    /// convolution.
    pub pictures: Vec<PathBuf>,
}

pub(super) fn write(report: &Report, folder: &Path) -> Result<Files, ReportError> {
    let page = html::page(report)?;
    let panels = curves::panels(&report.history, report.best_epoch);
    let curves = curves::drawing(&panels).standalone(CURVES);
    let confusion = report.findings.as_ref().map(|findings| {
        let drawing = confusion::drawing(&findings.labels(), &findings.confusion);
        drawing.standalone(CONFUSION)
    });

    create_folder(folder)?;
    let mut files = vec![(folder.join("curves.svg"), curves.into_bytes())];
    let matrix = folder.join("confusion.svg");
    match confusion {
        Some(drawing) => files.push((matrix, drawing.into_bytes())),
        None => remove_old(&matrix)?,
    }
    let weights = folder.join("weights.png");
    match &report.first_layer {
        Some(picture) => files.push((weights, picture.sheet()?)),
        None => remove_old(&weights)?,
    }
    for (path, bytes) in &files {
        write_atomic(path, bytes)?;
    }
    // The page comes last: where it is new, everything is.
    let path = folder.join("report.html");
    write_atomic(&path, page.as_bytes())?;
    Ok(Files {
        page: path,
        pictures: files.into_iter().map(|(path, _)| path).collect(),
    })
}

/// What the curves are, for those who cannot see them.
const CURVES: &str = "Loss, accuracy and learning rate by epoch";
/// What the matrix is.
pub(super) const CONFUSION: &str =
    "Confusion matrix: true classes in rows, predicted classes in columns";

/// Removes the picture of an earlier run with another network.
fn remove_old(path: &Path) -> Result<(), WriteError> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => Err(WriteError {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
