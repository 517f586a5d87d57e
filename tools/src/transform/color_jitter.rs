//! `ColorJitter`: other light and other colors. Factors and their order are drawn for each picture.

use rand_chacha::ChaCha8Rng;

use super::{Canvas, color};
use crate::random::{shuffle, uniform_between};

/// The ranges that factors are drawn from; none leaves its property as it is. Pictures are gray or RGB.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct ColorJitter {
    /// `brightness`: 0 is black, 1 the picture.
    pub brightness: Option<[f32; 2]>,
    /// `contrast`: 0 is the mean gray, 1 the picture.
    pub contrast: Option<[f32; 2]>,
    /// `saturation`: 0 is gray, 1 the picture.
    pub saturation: Option<[f32; 2]>,
    /// `hue`: a part of the color circle, from -0.5 to 0.5.
    pub hue: Option<[f32; 2]>,
}

/// What is changed.
#[derive(Debug, Clone, Copy)]
enum Property {
    Brightness,
    Contrast,
    Saturation,
    Hue,
}

impl ColorJitter {
    pub(super) fn apply(&self, rng: &mut ChaCha8Rng, canvas: &mut Canvas) {
        use Property::{Brightness, Contrast, Hue, Saturation};
        let mut properties = [
            (Brightness, self.brightness),
            (Contrast, self.contrast),
            (Saturation, self.saturation),
            (Hue, self.hue),
        ];
        shuffle(rng, &mut properties);
        for (property, range) in properties {
            let Some(range) = range else { continue };
            let factor = uniform_between(rng, range);
            match property {
                Brightness => color::adjust_brightness(canvas, factor),
                Contrast => color::adjust_contrast(canvas, factor),
                Saturation => color::adjust_saturation(canvas, factor),
                Hue => color::adjust_hue(canvas, factor),
            }
        }
    }
}
