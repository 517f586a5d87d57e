//! One transform in torchvision's words: names, order, defaults and ranges of the arguments as in
//! `torchvision.transforms`.

use kinglet_kernels::Shape;

use super::arguments::Arguments;
use super::call::{Call, Value};
use super::error::{CallProblem, ChannelsFirst, Problem, hint};
use super::section::{Entry, Located};
use super::transforms::TRANSFORMS;
use crate::transform::{
    ColorJitter, FlipAxis, Margins, RandomCrop, RandomErasing, RandomFlip, RandomRotation,
    Transform, Transforms,
};

/// Transforms of torchvision that a recipe has other words for, with those.
const ELSEWHERE: &[(&str, &str)] = &[
    (
        "ToTensor",
        "leave it out: pictures always become numbers from 0 to 1",
    ),
    (
        "Normalize",
        "write normalize = { mean = [0.5], std = [0.5] } in [data]",
    ),
];

/// Reads `transforms` for pictures of shape `input`, which have that shape again when all is done.
pub(super) fn read_transforms(entry: Entry, input: Shape) -> Located<Transforms> {
    let list_line = entry.line;
    let right =
        "a list of transforms, for example [\"RandomHorizontalFlip()\", \"RandomRotation(10)\"]";
    let (mut shape, mut list) = (input, Vec::<Transform>::new());
    for entry in entry.list(right)? {
        let line = entry.line;
        let text = entry.string()?;
        let in_call = |problem| {
            let call = text.trim().to_owned();
            (line, Problem::Call { call, problem })
        };
        let transform = read(&text, shape).map_err(in_call)?;
        let after_normalized = list.last().is_some_and(Transform::follows_normalize);
        if after_normalized && !transform.follows_normalize() {
            return Err(in_call(CallProblem::AfterNormalize));
        }
        shape = transform.output(shape);
        list.push(transform);
    }
    if shape != input {
        let (found, input) = (ChannelsFirst(shape), ChannelsFirst(input));
        return Err((list_line, Problem::TransformedShape { found, input }));
    }
    Ok(Transforms::new(list))
}

/// Reads one transform of pictures of shape `input`.
pub(super) fn read(text: &str, input: Shape) -> Result<Transform, CallProblem> {
    let call = Call::parse(text)?;
    if let Some((_, hint)) = ELSEWHERE.iter().find(|(name, _)| *name == call.name) {
        return Err(CallProblem::Unknown {
            kind: "transform",
            hint: (*hint).to_owned(),
            name: call.name,
        });
    }
    let known = TRANSFORMS
        .iter()
        .find(|transform| transform.name == call.name);
    let transform = known.ok_or_else(|| CallProblem::Unknown {
        kind: "transform",
        hint: hint(
            &call.name,
            TRANSFORMS.iter().map(|transform| transform.name),
        ),
        name: call.name.clone(),
    })?;
    let arguments = Arguments::bind(&call, transform)?;
    Ok(match arguments.function.name {
        "RandomHorizontalFlip" => Transform::Flip(RandomFlip {
            axis: FlipAxis::Horizontal,
            probability: probability(&arguments)?,
        }),
        "RandomVerticalFlip" => Transform::Flip(RandomFlip {
            axis: FlipAxis::Vertical,
            probability: probability(&arguments)?,
        }),
        "RandomRotation" => Transform::Rotation(rotation(&arguments, input)?),
        "RandomCrop" => Transform::Crop(crop(&arguments, input)?),
        "ColorJitter" => Transform::ColorJitter(color_jitter(&arguments, input)?),
        _ => Transform::Erasing(erasing(&arguments, input)?),
    })
}

fn probability(arguments: &Arguments) -> Result<f32, CallProblem> {
    arguments.float("p", 0.5, "a probability from 0 to 1", |p| {
        (0.0..=1.0).contains(&p)
    })
}

fn rotation(arguments: &Arguments, input: Shape) -> Result<RandomRotation, CallProblem> {
    const RIGHT: &str = "an angle of at least 0, or (smallest, largest)";
    let nearest = Value::Text("nearest".to_owned());
    arguments.only("interpolation", &nearest, "'nearest'")?;
    arguments.only("expand", &Value::Bool(false), "False")?;
    let degrees = match arguments.value("degrees") {
        None => arguments.or_default("degrees", None)?,
        Some(value) => match (value.number(), value.numbers().as_deref()) {
            (Some(x), _) if x >= 0.0 => [-x as f32, x as f32],
            (_, Some(&[low, high])) if low <= high => [low as f32, high as f32],
            _ => return Err(arguments.wrong("degrees", value, RIGHT)),
        },
    };
    let center = match arguments.value("center") {
        None | Some(Value::None) => None,
        Some(value) => match value.numbers().as_deref() {
            Some(&[x, y]) => Some([x, y]),
            _ => return Err(arguments.wrong("center", value, "None or (x, y) in pixels")),
        },
    };
    Ok(RandomRotation {
        degrees,
        center,
        fill: fill(arguments, input.channels)?,
    })
}

fn crop(arguments: &Arguments, input: Shape) -> Result<RandomCrop, CallProblem> {
    let constant = Value::Text("constant".to_owned());
    arguments.only("padding_mode", &constant, "'constant'")?;
    let size = arguments.pair("size", None)?;
    let mut padding = margins(arguments)?;
    if arguments.flag("pad_if_needed", false)? {
        let (height, width) = padding.around(input);
        let (rows, columns) = (size.0.saturating_sub(height), size.1.saturating_sub(width));
        padding.top += rows;
        padding.bottom += rows;
        padding.left += columns;
        padding.right += columns;
    }
    let (height, width) = padding.around(input);
    if size.0 > height || size.1 > width {
        return Err(CallProblem::Window {
            window_height: size.0,
            window_width: size.1,
            height,
            width,
        });
    }
    Ok(RandomCrop {
        size,
        padding,
        fill: fill(arguments, input.channels)?,
    })
}

/// `padding`: a number, (left and right, top and bottom), or (left, top, right, bottom).
fn margins(arguments: &Arguments) -> Result<Margins, CallProblem> {
    const RIGHT: &str =
        "a number, (left and right, top and bottom) or (left, top, right, bottom), at most 4096";
    const MOST: i64 = 4096;
    let Some(value) = arguments.value("padding") else {
        return Ok(Margins::default());
    };
    let one = |value: &Value| match *value {
        Value::Integer(n @ 0..=MOST) => Some(n as usize),
        _ => None,
    };
    let margins = match value {
        Value::None => Some(Margins::default()),
        Value::Tuple(values) => match values
            .iter()
            .map(one)
            .collect::<Option<Vec<_>>>()
            .as_deref()
        {
            Some(&[x, y]) => Some((x, y, x, y)),
            Some(&[left, top, right, bottom]) => Some((left, top, right, bottom)),
            _ => None,
        }
        .map(|(left, top, right, bottom)| Margins {
            left,
            top,
            right,
            bottom,
        }),
        single => one(single).map(|n| Margins {
            left: n,
            top: n,
            right: n,
            bottom: n,
        }),
    };
    margins.ok_or_else(|| arguments.wrong("padding", value, RIGHT))
}

/// `fill`: a byte for all channels or one for each.
fn fill(arguments: &Arguments, channels: usize) -> Result<Vec<u8>, CallProblem> {
    const RIGHT: &str = "a whole number from 0 to 255, or one for each channel";
    let Some(value) = arguments.value("fill") else {
        return Ok(vec![0; channels]);
    };
    let byte = |value: &Value| match *value {
        Value::Integer(byte) => u8::try_from(byte).ok(),
        _ => None,
    };
    let bytes = match value {
        Value::Tuple(values) => values.iter().map(byte).collect::<Option<Vec<_>>>(),
        single => byte(single).map(|byte| vec![byte; channels]),
    };
    let bytes = bytes.filter(|bytes| bytes.len() == channels);
    bytes.ok_or_else(|| arguments.wrong("fill", value, RIGHT))
}

fn color_jitter(arguments: &Arguments, input: Shape) -> Result<ColorJitter, CallProblem> {
    if !matches!(input.channels, 1 | 3) {
        return Err(CallProblem::Colors(input.channels));
    }
    let factor = |name| {
        const RIGHT: &str = "at least 0, or (smallest, largest)";
        jitter(arguments, name, RIGHT, |x| {
            ([(1.0 - x).max(0.0), 1.0 + x], 0.0..=f64::from(f32::MAX))
        })
        .map(|range| range.filter(|range| *range != [1.0; 2]))
    };
    const HUE: &str = "from 0 to 0.5, or (smallest, largest) within -0.5 and 0.5";
    let hue = jitter(arguments, "hue", HUE, |x| ([-x, x], -0.5..=0.5))?;
    Ok(ColorJitter {
        brightness: factor("brightness")?,
        contrast: factor("contrast")?,
        saturation: factor("saturation")?,
        hue: hue.filter(|range| *range != [0.0; 2]),
    })
}

/// The range of a factor of ColorJitter; `around` says which range a single number means, and what is possible.
fn jitter(
    arguments: &Arguments,
    name: &'static str,
    right: &'static str,
    around: impl Fn(f64) -> ([f64; 2], std::ops::RangeInclusive<f64>),
) -> Result<Option<[f32; 2]>, CallProblem> {
    let Some(value) = arguments.value(name) else {
        return Ok(None);
    };
    let (_, possible) = around(0.0);
    let range = match (value.number(), value.numbers().as_deref()) {
        (Some(x), _) if x >= 0.0 => Some(around(x).0),
        (_, Some(&[low, high])) if low <= high => Some([low, high]),
        _ => None,
    };
    let range = range.filter(|range| range.iter().all(|x| possible.contains(x)));
    match range {
        Some(range) => Ok(Some(range.map(|x| x as f32))),
        None => Err(arguments.wrong(name, value, right)),
    }
}

fn erasing(arguments: &Arguments, input: Shape) -> Result<RandomErasing, CallProblem> {
    const VALUE: &str = "a number, or one for each channel";
    arguments.flag("inplace", false)?;
    let scale = arguments.range(
        "scale",
        [0.02, 0.33],
        "(smallest, largest) within 0 and 1",
        |x| (0.0..=1.0).contains(&x),
    )?;
    let ratio = arguments.range("ratio", [0.3, 3.3], "(smallest, largest) above 0", |x| {
        x > 0.0
    })?;
    let value = match arguments.value("value") {
        None => vec![0.0],
        Some(found) => {
            let numbers = found.number().map(|x| vec![x]).or_else(|| found.numbers());
            let numbers = numbers.filter(|numbers| [1, input.channels].contains(&numbers.len()));
            let numbers = numbers.ok_or_else(|| arguments.wrong("value", found, VALUE))?;
            numbers.into_iter().map(|x| x as f32).collect()
        }
    };
    Ok(RandomErasing {
        probability: probability(arguments)?,
        scale,
        ratio,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PHOTO: Shape = Shape::new(32, 30, 3);

    fn parse(text: &str) -> Transform {
        read(text, PHOTO).unwrap()
    }

    fn error(text: &str) -> String {
        read(text, PHOTO).unwrap_err().to_string()
    }

    #[test]
    fn defaults_and_order_are_those_of_torchvision() {
        assert_eq!(
            parse("RandomHorizontalFlip()"),
            parse("transforms.RandomHorizontalFlip(p=0.5)")
        );
        let rotation = |degrees, center, fill: [u8; 3]| {
            let fill = fill.to_vec();
            Transform::Rotation(RandomRotation {
                degrees,
                center,
                fill,
            })
        };
        assert_eq!(
            parse("RandomRotation(10)"),
            rotation([-10.0, 10.0], None, [0; 3])
        );
        assert_eq!(
            parse("RandomRotation((-5, 30), 'nearest', False, (4, 2.5), (1, 2, 3))"),
            rotation([-5.0, 30.0], Some([4.0, 2.5]), [1, 2, 3])
        );
        let crop = |size, [left, top, right, bottom]: [usize; 4], fill| {
            let padding = Margins {
                left,
                top,
                right,
                bottom,
            };
            Transform::Crop(RandomCrop {
                size,
                padding,
                fill: vec![fill; 3],
            })
        };
        assert_eq!(parse("RandomCrop(28)"), crop((28, 28), [0; 4], 0));
        assert_eq!(
            parse("RandomCrop((32, 30), padding=4, fill=7)"),
            crop((32, 30), [4; 4], 7)
        );
        assert_eq!(
            parse("RandomCrop((32, 30), (1, 2))"),
            crop((32, 30), [1, 2, 1, 2], 0)
        );
        assert_eq!(
            parse("RandomCrop(30, (1, 2, 3, 4))"),
            crop((30, 30), [1, 2, 3, 4], 0)
        );
        assert_eq!(
            parse("RandomCrop((40, 33), pad_if_needed=True)"),
            crop((40, 33), [3, 8, 3, 8], 0)
        );
        assert_eq!(
            parse("ColorJitter(0.2, (0.5, 3), saturation=2, hue=0.1)"),
            Transform::ColorJitter(ColorJitter {
                brightness: Some([0.8, 1.2]),
                contrast: Some([0.5, 3.0]),
                saturation: Some([0.0, 3.0]),
                hue: Some([-0.1, 0.1]),
            })
        );
        assert_eq!(
            parse("ColorJitter(0, hue=0)"),
            Transform::ColorJitter(ColorJitter::default())
        );
        assert_eq!(
            parse("RandomErasing()"),
            parse("RandomErasing(0.5, (0.02, 0.33), (0.3, 3.3), 0, False)")
        );
    }

    #[test]
    fn what_torchvision_refuses_is_refused() {
        assert_eq!(
            error("RandomFlip()"),
            "there is no transform \"RandomFlip\"; did you mean RandomVerticalFlip?"
        );
        assert_eq!(
            error("ToTensor()"),
            "there is no transform \"ToTensor\"; leave it out: pictures always become numbers from 0 to 1"
        );
        assert_eq!(
            error("RandomRotation()"),
            "the argument degrees is missing; the call is \
             RandomRotation(degrees, interpolation='nearest', expand=False, center=None, fill=0)"
        );
        assert_eq!(
            error("RandomHorizontalFlip(1.5)"),
            "p=1.5 is not possible; it must be a probability from 0 to 1"
        );
        assert_eq!(
            error("RandomRotation(-10)"),
            "degrees=-10 is not possible; it must be an angle of at least 0, or (smallest, largest)"
        );
        assert_eq!(
            error("RandomRotation(10, 'bilinear')"),
            "interpolation='bilinear' is not possible; it must be 'nearest'"
        );
        assert_eq!(
            error("RandomRotation(10, fill=(1, 2))"),
            "fill=(1, 2) is not possible; it must be a whole number from 0 to 255, or one for each channel"
        );
        assert_eq!(
            error("RandomCrop(33, padding=(1, 0))"),
            "its window is 33 x 33, but the padded picture is only 32 x 32"
        );
        assert_eq!(
            error("RandomCrop(32, padding=-1)"),
            "padding=-1 is not possible; it must be a number, (left and right, top and bottom) or \
             (left, top, right, bottom), at most 4096"
        );
        assert_eq!(
            error("ColorJitter(hue=0.7)"),
            "hue=0.7 is not possible; it must be from 0 to 0.5, or (smallest, largest) within -0.5 and 0.5"
        );
        assert_eq!(
            error("ColorJitter((1.2, 0.8))"),
            "brightness=(1.2, 0.8) is not possible; it must be at least 0, or (smallest, largest)"
        );
        assert_eq!(
            error("RandomErasing(value='random')"),
            "value='random' is not possible; it must be a number, or one for each channel"
        );
        let two = read("ColorJitter(0.1)", Shape::new(4, 4, 2)).unwrap_err();
        assert_eq!(
            two.to_string(),
            "it needs gray or RGB pictures (1 or 3 channels), but `input` has 2"
        );
    }
}
