//! The files of a report: pictures for themselves, and the page with its own copies of them.

use std::path::{Path, PathBuf};

use super::canvas::{DARK, LIGHT, Theme, draw, px};
use super::curves::{self, Panel};
use super::{Report, ReportError, confusion, html, tiles};
use crate::file::{WriteError, create_folder, write_atomic};
use crate::picture;

/// Where a report has been written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// `report.html`.
    pub page: PathBuf,
    /// The pictures: `curves.png`, `confusion.png`, `mistakes.png`, and `weights.png` if the network begins
    /// with a convolution.
    pub pictures: Vec<PathBuf>,
}

/// A picture for bright and for dark screens.
pub(super) struct Themed {
    pub(super) light: Vec<u8>,
    pub(super) dark: Vec<u8>,
}

impl Themed {
    fn new(picture: impl Fn(&Theme) -> Result<Vec<u8>, ReportError>) -> Result<Self, ReportError> {
        Ok(Self {
            light: picture(&LIGHT)?,
            dark: picture(&DARK)?,
        })
    }
}

/// What the page shows.
pub(super) struct Pictures {
    /// The curves with their titles, one by one: a page puts them beside or below each other.
    pub(super) panels: Vec<(&'static str, Themed)>,
    pub(super) confusion: Themed,
    /// The pictures of the mistakes as they are.
    pub(super) mistakes: Vec<Vec<u8>>,
    pub(super) weights: Option<Themed>,
}

pub(super) fn write(report: &Report, folder: &Path) -> Result<Files, ReportError> {
    let findings = &report.findings;
    let labels: Vec<String> = findings.classes.iter().map(|c| c.label.clone()).collect();
    let panels = curves::panels(&report.history, report.best_epoch);
    let small = report.mistakes.iter().map(|tile| {
        picture::encode(tile.shape, &tile.pixels)
            .map_err(|error| ReportError::Draw(error.to_string()))
    });
    let pictures = Pictures {
        panels: panels
            .iter()
            .map(|panel| {
                let picture = Themed::new(|theme| curves_picture(&[panel], theme))?;
                Ok((panel.title, picture))
            })
            .collect::<Result<_, ReportError>>()?,
        confusion: Themed::new(|theme| confusion::picture(&labels, &findings.confusion, theme))?,
        mistakes: small.collect::<Result<_, _>>()?,
        weights: match &report.first_layer {
            Some(weights) => Some(Themed::new(|theme| weights.picture(theme))?),
            None => None,
        },
    };
    let page = html::page(report, &pictures)?;
    let all: Vec<&Panel> = panels.iter().collect();
    let curves = curves_picture(&all, &LIGHT)?;
    let mistakes = tiles::mistakes(&findings.mistakes, &report.mistakes, &LIGHT)?;

    create_folder(folder)?;
    let mut files = vec![
        (folder.join("curves.png"), curves),
        (folder.join("confusion.png"), pictures.confusion.light),
        (folder.join("mistakes.png"), mistakes),
    ];
    let weights = folder.join("weights.png");
    match pictures.weights {
        Some(picture) => files.push((weights, picture.light)),
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

/// Panels side by side.
fn curves_picture(panels: &[&Panel], theme: &Theme) -> Result<Vec<u8>, ReportError> {
    let width = curves::WIDTH * panels.len() as f64;
    draw(width, curves::HEIGHT, theme, |area| {
        let mut rest = area.clone();
        for panel in panels {
            let (one, others) = rest.split_horizontally(px(curves::WIDTH));
            curves::paint(panel, &one, theme)?;
            rest = others;
        }
        Ok(())
    })
}

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
