use super::*;

const LESSON: &str = r#"name = "lesson"
input = [3, 32, 32]
classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
layers = [
    "Conv2d(3, 16, 3, padding=1)",
    "ReLU()",
    "MaxPool2d(2, 2)",
    "Conv2d(16, 32, 3, padding=1)",
    "ReLU()",
    "MaxPool2d(2, 2)",
    "Conv2d(32, 64, 3, padding=1)",
    "ReLU()",
    "MaxPool2d(2, 2)",
    "Flatten()",
    "Dropout(0.25)",
    "Linear(1024, 500)",
    "ReLU()",
    "Dropout(0.25)",
    "Linear(500, 10)",
]
[data]
normalize = { mean = [0.5, 0.5, 0.5], std = [0.5] }
validation = 0.2
[train]
epochs = 30
batch_size = 20
seed = 1
[optimizer]
type = "SGD"
lr = 0.01
momentum = 0.9
"#;

fn parse(text: &str) -> Result<Recipe, String> {
    Recipe::parse(text, Path::new("dir/lesson.toml")).map_err(|error| error.to_string())
}

/// The error after one text of the lesson was replaced by another.
fn error(from: &str, to: &str) -> String {
    assert!(LESSON.contains(from), "{from}");
    parse(&LESSON.replacen(from, to, 1)).unwrap_err()
}

#[test]
fn pictures_are_resized_only_on_request() {
    assert_eq!(parse(LESSON).unwrap().data.resize, None);
    let resized = LESSON.replace("validation = 0.2", "resize = [32, 48]");
    assert_eq!(parse(&resized).unwrap().data.resize, Some([32, 48]));
    assert_eq!(
        error("validation = 0.2", "resize = [32]"),
        "dir/lesson.toml:23: resize has 1 values, but it must have 2: [height, width], for example [32, 32]"
    );
    let zero = error("validation = 0.2", "resize = [0, 32]");
    assert!(zero.contains("a whole number from 1 to"), "{zero}");
}

#[test]
fn the_lesson_is_read_as_it_stands() {
    let recipe = parse(LESSON).unwrap();
    assert_eq!((recipe.name.as_str(), recipe.classes.len()), ("lesson", 10));
    assert_eq!(recipe.graph.nodes.len(), 15);
    // 448 + 4640 + 18496 + 512500 + 5010.
    assert_eq!(recipe.graph.parameters(), 541_094);
    assert_eq!(recipe.graph.output(), Shape::vector(10));
    assert_eq!(recipe.data.normalize.std, [0.5; 3]);
    assert_eq!(
        recipe.train,
        TrainSettings {
            epochs: 30,
            batch_size: 20,
            seed: 1,
            best: BestBy::Loss,
            early_stop: None,
            ema: None,
        }
    );
    assert_eq!(
        recipe.optimizer,
        OptimizerSettings::Sgd {
            learning_rate: 0.01,
            momentum: 0.9,
            weight_decay: 0.0,
            nesterov: false,
            decay_bias: true
        }
    );
    assert_eq!(recipe.layer_line(3), Some(8));
    recipe.check_trainable(Path::new("x")).unwrap();
}

#[test]
fn defaults_are_filled_in() {
    let recipe = parse("input = [1, 4, 4]\nlayers = [\"Flatten()\", \"Linear(16, 2)\"]").unwrap();
    assert_eq!(recipe.name, "lesson");
    assert_eq!(recipe.data.normalize, Normalize::identity(1));
    assert_eq!(recipe.optimizer.learning_rate(), 1e-3);
    assert_eq!(recipe.schedule, ScheduleSettings::default());
    assert!(recipe.data.transforms.is_empty());
}

#[test]
fn wrong_layers_are_reported_with_their_line() {
    assert_eq!(
        error("Linear(1024, 500)", "Linear(1000, 500)"),
        "dir/lesson.toml:16: Linear(1000, 500): in_features is 1000, but 1024 values come in \
         (64x4x4 flattened): write Linear(1024, 500)"
    );
    assert_eq!(
        error("Conv2d(16, 32", "Conv2d(8, 32"),
        "dir/lesson.toml:8: Conv2d(8, 32, 3, padding=1): in_channels is 8, but 16 channels come in \
         (16x16x16): write Conv2d(16, 32, 3, padding=1)"
    );
    assert_eq!(
        error("\"ReLU()\"", "\"Relu()\""),
        "dir/lesson.toml:6: Relu(): there is no layer \"Relu\"; did you mean ReLU?"
    );
    assert_eq!(
        error("\"Flatten()\"", "\"Flatten(\""),
        "dir/lesson.toml:14: Flatten(: expected a number, True, False, None, a string or a tuple but found the end"
    );
    assert_eq!(
        error("\"Flatten()\"", "3"),
        "dir/lesson.toml:14: layers[9] = 3 is not possible; it must be a string"
    );
}

#[test]
fn unknown_keys_suggest_the_nearest() {
    assert_eq!(
        error("epochs = 30", "epoch = 30"),
        "dir/lesson.toml:25: unknown key \"epoch\" in [train]; did you mean epochs?"
    );
    assert_eq!(
        error("lr = 0.01", "learning_rate = 0.01"),
        "dir/lesson.toml:30: unknown key \"learning_rate\" in [optimizer]; \
         known are type, lr, momentum, weight_decay, nesterov, decay_bias"
    );
    assert_eq!(
        error("[train]", "[training]"),
        "dir/lesson.toml:24: unknown key \"training\" in the recipe; did you mean train?"
    );
    assert_eq!(
        error("std = [0.5]", "sdt = [0.5]"),
        "dir/lesson.toml:22: \"std\" is missing in normalize; write for example: \
         normalize = { mean = [0.5], std = [0.5] }"
    );
}

#[test]
fn missing_keys_come_with_an_example() {
    assert_eq!(
        error("input = [3, 32, 32]", ""),
        "dir/lesson.toml:1: \"input\" is missing in the recipe; write for example: input = [3, 32, 32]"
    );
    assert_eq!(
        error("type = \"SGD\"", ""),
        "dir/lesson.toml:28: \"type\" is missing in [optimizer]; write for example: type = \"SGD\""
    );
}

#[test]
fn wrong_values_say_what_is_possible() {
    assert_eq!(
        error("validation = 0.2", "validation = 20"),
        "dir/lesson.toml:23: validation = 20 is not possible; it must be a fraction: at least 0 and below 1"
    );
    assert_eq!(
        error("epochs = 30", "epochs = \"30\""),
        "dir/lesson.toml:25: epochs = \"30\" is not possible; it must be a whole number of at least 1"
    );
    assert_eq!(
        error("seed = 1", "seed = -1"),
        "dir/lesson.toml:27: seed = -1 is not possible; it must be a whole number of at least 0"
    );
    assert_eq!(
        error("batch_size = 20", "batch_size = 0"),
        "dir/lesson.toml:26: batch_size = 0 is not possible; it must be a whole number from 1 to 65536"
    );
    assert_eq!(
        error("\"SGD\"", "\"sgd\""),
        "dir/lesson.toml:29: type = \"sgd\" is not possible; it must be \"SGD\", \"Adam\" or \"AdamW\""
    );
    assert_eq!(
        error("momentum = 0.9", "nesterov = true"),
        "dir/lesson.toml:31: nesterov = true is not possible; it must be false without momentum; \
         write for example: momentum = 0.9"
    );
    assert_eq!(
        error("[3, 32, 32]", "[32, 32]"),
        "dir/lesson.toml:2: input has 2 values, but it must have 3 or 1: \
         [channels, height, width], for example [3, 32, 32], or [features], for example [640]"
    );
    assert_eq!(
        error("std = [0.5]", "std = [0.5, 0.5]"),
        "dir/lesson.toml:22: std has 2 values, but `input` has 3 channels: give 3 or 1"
    );
    assert_eq!(
        error("std = [0.5]", "std = [0]"),
        "dir/lesson.toml:22: std[0] = 0 is not possible; it must be a number above 0"
    );
    assert_eq!(
        error("\"truck\"]", "]"),
        "dir/lesson.toml:3: the network ends in 10 outputs, but `classes` has 9 names; they must be the same number"
    );
    assert_eq!(
        error("epochs = 30", "epochs = "),
        "dir/lesson.toml:25: not valid TOML: string values must be quoted, expected literal string"
    );
}

#[test]
fn betas_are_two() {
    let adam = |rest: &str| {
        parse(&format!(
            "input = [1, 2, 2]\nlayers = [\"Flatten()\"]\n[optimizer]\ntype = \"Adam\"\n{rest}"
        ))
    };
    assert_eq!(
        adam("betas = [0.8, 0.99]\neps = 1e-6").unwrap().optimizer,
        OptimizerSettings::Adam {
            learning_rate: 1e-3,
            betas: [0.8, 0.99],
            epsilon: 1e-6,
            weight_decay: 0.0,
            decay_bias: true,
            decoupled: false,
        }
    );
    assert_eq!(
        adam("betas = [0.9]").unwrap_err(),
        "dir/lesson.toml:5: betas has 1 values, but Adam has two: betas = [0.9, 0.999]"
    );
}

#[test]
fn a_network_without_logits_can_be_read_but_not_trained() {
    let check = |layers: &str| {
        let recipe = parse(&format!("input = [3, 8, 8]\nlayers = [{layers}]")).unwrap();
        recipe
            .check_trainable(Path::new("r.toml"))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        check("\"Conv2d(3, 4, 3)\",\n\"MaxPool2d(2)\""),
        "r.toml:3: the network ends in 4x3x3 (channels, height, width), but training needs one number \
         for each class: end with \"Flatten()\", \"Linear(36, number of classes)\""
    );
    assert_eq!(
        check("\"Flatten()\""),
        "r.toml:2: no layer of this network has parameters to train"
    );
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let error = Recipe::load(Path::new("/no/such.toml"))
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("cannot read /no/such.toml: "), "{error}");
}

#[test]
fn transforms_keep_the_shape_of_the_input() {
    let error = |transforms: &str| {
        let to = format!("validation = 0.2\ntransforms = [\n{transforms}]");
        error("validation = 0.2", &to)
    };
    assert_eq!(
        error("\"RandomHorizontalFlip()\",\n\"RandomCrop(28)\""),
        "dir/lesson.toml:24: the transforms make pictures of 3x28x28 (channels, height, width), but validation \
         and the network take 3x32x32: end with a size of (32, 32)"
    );
    assert_eq!(
        error("\"RandomHorizontalFlip()\",\n\"RandomRotation(10, 3)\""),
        "dir/lesson.toml:26: RandomRotation(10, 3): interpolation=3 is not possible; it must be 'nearest'"
    );
    assert_eq!(
        error("\"RandomErasing()\",\n\"RandomRotation(10)\""),
        "dir/lesson.toml:26: RandomRotation(10): it changes bytes, so it must come before RandomErasing, \
         which changes normalized values"
    );
}

#[test]
fn settings_of_training_say_what_is_possible() {
    assert_eq!(
        error("seed = 1", "best = \"f1\""),
        "dir/lesson.toml:27: best = \"f1\" is not possible; it must be \"loss\" or \"accuracy\""
    );
    assert_eq!(
        error("seed = 1", "label_smoothing = 1"),
        "dir/lesson.toml:27: label_smoothing = 1 is not possible; it must be at least 0 and below 1"
    );
    let without = LESSON.replace("validation = 0.2", "validation = 0");
    assert_eq!(
        parse(&without.replace("seed = 1", "early_stop = 5")).unwrap_err(),
        "dir/lesson.toml:27: early_stop = 5 is not possible; it must be absent without validation pictures \
         ([data] validation = 0)"
    );
    let all = "seed = 1\nlabel_smoothing = 0.1\nbest = \"accuracy\"\nearly_stop = 5\nema = 0.99";
    let train = parse(&LESSON.replace("seed = 1", all)).unwrap().train;
    assert_eq!(train.best, BestBy::Accuracy);
    assert_eq!((train.early_stop, train.ema), (Some(5), Some(0.99)));
}

#[test]
fn every_recipe_that_comes_along_can_be_trained() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Their logs lie in a folder of their own.
        if path.is_dir() {
            continue;
        }
        let recipe = Recipe::load(&path).unwrap();
        recipe.check_trainable(&path).unwrap();
        assert_eq!(
            path.file_stem().unwrap().to_str(),
            Some(recipe.name.as_str())
        );
        names.push(recipe.name);
    }
    assert!(names.len() >= 9, "{names:?}");
}

#[test]
fn a_normalization_by_itself_has_the_recipe_s_words() {
    let normalize = Normalize::parse("mean = [0.5], std = [0.25, 0.5]", 2).unwrap();
    assert_eq!(
        (normalize.mean, normalize.std),
        (vec![0.5; 2], vec![0.25, 0.5])
    );
    for (text, expected) in [
        ("mean = [0.5]", "\"std\" is missing in normalize"),
        ("mean = [0.5], std = [0.0]", "a number above 0"),
        ("mean = [0.5, 0.5, 0.5], std = [1.0]", "give 2 or 1"),
        ("0.5", ""),
    ] {
        let error = Normalize::parse(text, 2).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn an_input_with_the_channels_last_is_recognized_where_it_fails() {
    assert_eq!(
        error("[3, 32, 32]", "[32, 32, 3]"),
        "dir/lesson.toml:2: input = [32, 32, 3] looks like height, width, channels, but channels come first: \
         write input = [3, 32, 32] (as it is, line 5 is wrong: Conv2d(3, 16, 3, padding=1): in_channels is 3, \
         but 32 channels come in (32x32x3): write Conv2d(32, 16, 3, padding=1))"
    );
    // What else is wrong on the same line does not hide it.
    let line = "layers = [\"Conv2d(3, 4, 3)\", \"CELU()\"]";
    let both = parse(&format!("input = [32, 32, 3]\n{line}")).unwrap_err();
    assert!(both.contains("write input = [3, 32, 32]"), "{both}");
    // Where the other order would not do better, nothing is guessed.
    let other = LESSON.replace("[3, 32, 32]", "[30, 30, 3]");
    let other = parse(&other.replace("Conv2d(3, 16", "Conv2d(5, 16")).unwrap_err();
    assert!(!other.contains("looks like"), "{other}");
    // A network that takes it as it is, is taken.
    let layers = "layers = [\"Flatten()\", \"Linear(3072, 2)\"]";
    let valid = parse(&format!("input = [32, 32, 3]\n{layers}")).unwrap();
    assert_eq!(valid.graph.input(), Shape::new(32, 3, 32));
}

#[test]
fn losses_have_their_own_keys() {
    let train = |keys: &str| {
        let layers = "layers = [\"Flatten()\", \"Linear(4, 3)\"]";
        parse(&format!("input = [1, 2, 2]\n{layers}\n[train]\n{keys}"))
    };
    let loss = |keys: &str| train(keys).unwrap().loss;
    assert_eq!(
        loss("loss = \"CrossEntropyLoss\"\nclass_weights = [1, 0.5, 2]\nlabel_smoothing = 0.25"),
        LossSettings::CrossEntropy {
            label_smoothing: 0.25,
            class_weights: ClassWeights::Given(vec![1.0, 0.5, 2.0]),
        }
    );
    assert_eq!(
        loss("class_weights = \"balanced\""),
        LossSettings::CrossEntropy {
            label_smoothing: 0.0,
            class_weights: ClassWeights::Balanced,
        }
    );
    assert_eq!(
        loss("loss = \"MSELoss\"\ntarget = \"input\""),
        LossSettings::SquaredError {
            target: Target::Input
        }
    );
    for (keys, problem) in [
        (
            "loss = \"L1Loss\"",
            "loss = \"L1Loss\" is not possible; it must be \"CrossEntropyLoss\" or \"MSELoss\"",
        ),
        (
            "class_weights = [1, 2]",
            "class_weights has 2 values, but the network ends in 3 outputs: give one for each class",
        ),
        (
            "class_weights = [1, 0, 2]",
            "class_weights[1] = 0 is not possible; it must be a number above 0",
        ),
        (
            "class_weights = \"even\"",
            "class_weights = \"even\" is not possible; it must be \"balanced\", or a list of numbers above 0, one for each class",
        ),
        (
            "target = \"input\"",
            "target = \"input\" is not possible; it must be absent with CrossEntropyLoss, whose targets are classes: write \
             loss = \"MSELoss\"",
        ),
        (
            "label_smoothing = 0.1\nloss = \"MSELoss\"",
            "label_smoothing = 0.1 is not possible; it must be absent with MSELoss, which knows no classes",
        ),
        (
            "best = \"accuracy\"\nloss = \"MSELoss\"",
            "best = \"accuracy\" is not possible; it must be \"loss\" with MSELoss, which knows no classes",
        ),
    ] {
        assert_eq!(
            train(keys).unwrap_err(),
            format!("dir/lesson.toml:4: {problem}")
        );
    }
}

#[test]
fn adam_w_decays_without_being_asked() {
    let optimizer = |keys: &str| {
        let layers = "layers = [\"Flatten()\"]";
        parse(&format!("input = [1, 2, 2]\n{layers}\n[optimizer]\n{keys}"))
            .unwrap()
            .optimizer
    };
    assert_eq!(
        optimizer("type = \"AdamW\""),
        OptimizerSettings::Adam {
            learning_rate: 0.001,
            betas: [0.9, 0.999],
            epsilon: 1e-8,
            weight_decay: 0.01,
            decay_bias: true,
            decoupled: true,
        }
    );
}

#[test]
fn vectors_need_no_flatten() {
    let vector = |layers: &str| parse(&format!("input = [640]\nlayers = [{layers}]"));
    let recipe = vector("\"Linear(640, 8)\", \"ReLU()\", \"Linear(8, 2)\"").unwrap();
    assert_eq!(recipe.graph.input(), Shape::vector(640));
    assert_eq!(
        vector("\"Conv2d(640, 8, 1)\"").unwrap_err(),
        "dir/lesson.toml:2: Conv2d(640, 8, 1): its input is flat (640 values), but it needs channels, height and \
         width: put it before \"Flatten()\""
    );
}
