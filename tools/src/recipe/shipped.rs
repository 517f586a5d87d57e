//! The recipes that come along, inside the program too: `tools/recipes`.

/// A recipe that comes along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shipped {
    /// Its name, which is also that of its file.
    pub name: &'static str,
    /// The file's text.
    pub text: &'static str,
}

macro_rules! shipped {
    ($($name:literal),* $(,)?) => {
        &[$(Shipped {
            name: $name,
            text: include_str!(concat!("../../recipes/", $name, ".toml")),
        }),*]
    };
}

/// The recipes that come along, in alphabetical order.
pub const SHIPPED: &[Shipped] = shipped![
    "autoencoder",
    "cifar",
    "fashion",
    "fashion-full",
    "lesson",
    "lesson-cosine",
    "lesson-plain",
    "micro",
    "mobilenet",
    "quiz",
    "resnet8",
    "sequential",
];

impl Shipped {
    /// What its first comment says, without the part that begins with an empty line.
    pub fn summary(&self) -> String {
        let lines = self.text.lines().map_while(|line| line.strip_prefix('#'));
        let lines = lines.map(str::trim).take_while(|line| !line.is_empty());
        lines.collect::<Vec<_>>().join(" ")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn every_recipe_of_the_folder_comes_along() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("recipes");
        let entries = std::fs::read_dir(folder).unwrap();
        let paths = entries.map(|entry| entry.unwrap().path());
        let mut names: Vec<String> = paths
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        names.sort();
        let shipped: Vec<&str> = SHIPPED.iter().map(|recipe| recipe.name).collect();
        assert_eq!(shipped, names);
        for recipe in SHIPPED {
            assert!(recipe.summary().len() > 20, "{}", recipe.name);
        }
    }
}
